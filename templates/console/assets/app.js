// On every page: the theme switch and times that stay true.
(() => {
  'use strict';
  const next = { system: 'light', light: 'dark', dark: 'system' };
  const button = document.getElementById('theme');
  const current = () => document.documentElement.dataset.theme || 'system';
  const label = () => { button.textContent = `Theme: ${current()}`; };
  button.hidden = false;
  label();
  button.addEventListener('click', () => {
    const theme = next[current()];
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === 'system') localStorage.removeItem('theme');
      else localStorage.setItem('theme', theme);
    } catch { /* it lasts for this page */ }
    label();
  });

  const relative = (seconds) => {
    if (seconds < 5) return 'just now';
    if (seconds < 60) return `${seconds} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    if (seconds < 172800) return '1 day ago';
    return `${Math.floor(seconds / 86400)} days ago`;
  };
  setInterval(() => {
    for (const time of document.querySelectorAll('time[datetime]')) {
      const text = relative(Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000));
      if (time.textContent !== text) time.textContent = text;
    }
  }, 15000);
})();
