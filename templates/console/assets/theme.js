// Sets the chosen theme before the first paint, so that nothing flashes.
(() => {
  'use strict';
  try {
    const theme = localStorage.getItem('theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch { /* without storage the system's theme stays */ }
})();
