// Keeps the board, a promotion's page or the nodes fresh: the server says that there is
// something new, and the part is loaded again. Never replaces what somebody
// types in, keeps opened forms open, rests while the page is hidden.
(() => {
  'use strict';
  const board = document.getElementById('board');
  const part = board || document.getElementById('promotion') || document.getElementById('nodes');
  const live = document.getElementById('live');
  if (!part || !window.EventSource) return;
  const address = board ? '/?fragment=1' : location.pathname + location.search;
  let source = null;
  let failures = 0;
  let waiting = false;
  let loading = false;

  const say = (text) => { if (live.textContent !== text) live.textContent = text; };
  const isBusy = () => {
    const at = document.activeElement;
    const typing = at && part.contains(at) && at.matches('input, textarea, select');
    const filled = [...part.querySelectorAll('input:not([type=hidden]), textarea')]
      .some((field) => field.value !== field.defaultValue);
    return typing || filled;
  };
  const put = (html) => {
    const page = new DOMParser().parseFromString(html, 'text/html');
    const fresh = board ? page.body : page.getElementById(part.id);
    if (!fresh) return;
    const open = [...part.querySelectorAll('details[open][id]')].map((one) => one.id);
    const focused = document.activeElement && document.activeElement.id;
    part.replaceChildren(...fresh.childNodes);
    for (const id of open) {
      const one = document.getElementById(id);
      if (one) one.open = true;
    }
    if (focused && document.activeElement === document.body) {
      const again = document.getElementById(focused);
      if (again) again.focus();
    }
  };
  const refresh = async () => {
    if (loading || isBusy()) { waiting = true; return; }
    loading = true;
    waiting = false;
    try {
      const answer = await fetch(address, { credentials: 'same-origin', redirect: 'error' });
      if (!answer.ok) throw new Error(String(answer.status));
      const html = await answer.text();
      if (isBusy()) waiting = true;
      else put(html);
      say('Live');
    } catch {
      say('Not up to date: convoy does not answer');
    } finally {
      loading = false;
      if (waiting && !isBusy()) refresh();
    }
  };
  const close = () => { if (source) source.close(); source = null; };
  const connect = () => {
    close();
    source = new EventSource('/api/v1/events');
    source.addEventListener('open', () => {
      if (failures > 0) refresh();
      failures = 0;
      say('Live');
    });
    source.addEventListener('board', refresh);
    source.addEventListener('error', () => {
      failures += 1;
      say('Connection lost; trying again');
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        const wait = Math.min(15000, 500 * 2 ** Math.min(failures, 5)) * (0.75 + Math.random() / 4);
        setTimeout(() => { if (!source && !document.hidden) connect(); }, wait);
      }
    });
  };
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) close();
    else { connect(); refresh(); }
  });
  part.addEventListener('focusout', () => setTimeout(() => { if (waiting) refresh(); }, 0));
  connect();
})();
