// The editor's live part: line numbers, checking while typing by the server's
// own validator, problems that lead to their line, and a guard against leaving
// with unsaved text. Tab leaves the text area, as everywhere.
(() => {
  'use strict';
  const form = document.getElementById('editor');
  const area = document.getElementById('content');
  const gutter = document.getElementById('gutter');
  const verdict = document.getElementById('verdict');
  const list = document.getElementById('problems');
  const csrf = document.querySelector('meta[name=csrf]').content;
  const initial = area.defaultValue;
  let wrong = new Set([...list.querySelectorAll('[data-line]')].map((one) => Number(one.dataset.line)));
  let asked = 0;
  let timer = 0;
  let leaving = false;

  const numbers = () => {
    const count = area.value.split('\n').length;
    const rows = [];
    let plain = [];
    const flush = () => { if (plain.length) rows.push(`${plain.join('\n')}\n`); plain = []; };
    for (let line = 1; line <= count; line += 1) {
      if (wrong.has(line)) {
        flush();
        const mark = document.createElement('span');
        mark.className = 'wrong';
        mark.textContent = `✗${line}`;
        rows.push(mark);
      } else plain.push(line);
    }
    flush();
    gutter.replaceChildren(...rows);
    gutter.scrollTop = area.scrollTop;
  };
  const jump = (line, column) => {
    const lines = area.value.split('\n');
    const at = Math.max(0, Math.min(line - 1, lines.length - 1));
    let offset = 0;
    for (let n = 0; n < at; n += 1) offset += lines[n].length + 1;
    // Columns are counted in characters, a text area counts UTF-16 units.
    const before = [...lines[at]].slice(0, Math.max(0, column - 1)).join('').length;
    area.focus();
    area.setSelectionRange(offset + before, column > 0 ? offset + before : offset + lines[at].length);
    const height = parseFloat(getComputedStyle(area).lineHeight);
    area.scrollTop = Math.max(0, at * height - area.clientHeight / 3);
  };

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  /** The text with its `quoted` parts set as code. */
  const ticks = (text) => {
    const parts = text.split('`');
    const paired = parts.length - 1 + (parts.length % 2);
    return parts.map((part, at) => {
      if (at >= paired) return `\`${part}`;
      return at % 2 ? element('code', '', part) : part;
    });
  };
  const addressOf = (place) => {
    const path = place.file.split('/').map(encodeURIComponent).join('/');
    return form.dataset.files + path + (place.line ? `#L${place.line}` : '');
  };
  const placeText = ({ file, line, column }, here) => {
    const parts = here ? [] : [file];
    if (line) parts.push(line);
    if (line && column) parts.push(column);
    return parts.join(':') || 'file';
  };
  const item = (problem, severity) => {
    const here = problem.place.file === form.dataset.path && !severity;
    const row = element('li');
    const link = element('a', here ? 'jump' : '');
    link.href = here ? '#content' : addressOf(problem.place);
    if (here) {
      row.dataset.line = problem.place.line;
      row.dataset.column = problem.place.column;
    }
    if (severity) {
      const chip = element('span', 'chip severity', severity);
      chip.dataset.state = severity;
      row.append(chip, ' ');
    }
    link.append(element('code', '', placeText(problem.place, here)));
    row.append(link, ' ', ...ticks(problem.message), ' ', element('span', 'rule', problem.rule));
    if (problem.stages.length) row.append(element('span', 'muted', ` in ${problem.stages.join(', ')}`));
    if (problem.hint) {
      const hint = element('span', 'hint');
      hint.append(...ticks(problem.hint));
      row.append(element('br'), hint);
    }
    return row;
  };
  const show = (answer) => {
    const here = (problem) => problem.place.file === form.dataset.path;
    const problems = [...answer.problems].sort((a, b) => here(b) - here(a));
    list.replaceChildren(
      ...problems.map((problem) => item(problem)),
      ...answer.findings.map((finding) => item(finding.problem, finding.severity)),
    );
    wrong = new Set(problems.filter(here).map((problem) => problem.place.line));
    numbers();
    const count = problems.length;
    const stages = answer.stages.join(', ') || 'this repository';
    verdict.dataset.state = answer.ok ? 'ok' : 'bad';
    const first = Math.min(...wrong);
    const where = wrong.size ? `, the first in line ${first}` : ', none in this file';
    if (count) verdict.textContent = `${count} problem${count === 1 ? '' : 's'}${where}.`;
    else verdict.textContent = answer.ok ? `No problems in ${stages}.` : 'A finding stops this.';
  };

  const check = async () => {
    asked += 1;
    const mine = asked;
    verdict.dataset.state = 'none';
    verdict.textContent = 'Checking…';
    try {
      const answer = await fetch(form.dataset.validate, {
        method: 'POST',
        credentials: 'same-origin',
        headers: { 'content-type': 'application/json', 'x-convoy-csrf': csrf },
        body: JSON.stringify({
          revision: Number(form.dataset.base),
          changes: [{ path: form.dataset.path, content: area.value }],
        }),
      });
      const body = await answer.json();
      // An answer to an earlier text says nothing of this one.
      if (mine !== asked) return;
      if (answer.ok) show(body);
      else verdict.textContent = `Not checked: ${body.error.message}. ${body.error.hint}`;
    } catch {
      if (mine === asked) verdict.textContent = 'Not checked: convoy does not answer.';
    }
  };
  const later = () => {
    // What is shown belongs to an earlier text from the first key on.
    asked += 1;
    clearTimeout(timer);
    timer = setTimeout(check, 250);
  };

  area.addEventListener('input', () => { numbers(); later(); });
  area.addEventListener('scroll', () => { gutter.scrollTop = area.scrollTop; });
  new ResizeObserver(() => { gutter.style.height = `${area.offsetHeight}px`; }).observe(area);
  list.addEventListener('click', (event) => {
    const link = event.target.closest('a.jump');
    if (!link) return;
    event.preventDefault();
    const row = link.closest('li');
    jump(Number(row.dataset.line), Number(row.dataset.column));
  });
  form.querySelector('button[value=check]').addEventListener('click', (event) => {
    event.preventDefault();
    clearTimeout(timer);
    check();
  });
  form.addEventListener('submit', () => { leaving = true; });
  window.addEventListener('pageshow', () => { leaving = false; });
  window.addEventListener('beforeunload', (event) => {
    const unsaved = area.value !== initial || form.dataset.draft === 'yes';
    if (unsaved && !leaving) event.preventDefault();
  });
  numbers();
  if (!form.dataset.draft) check();
})();
