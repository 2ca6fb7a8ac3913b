// Visits every page of a running console in a real browser, in both themes
// and at two widths, and fails on any accessibility violation, sideways
// scroll, script error or broken content policy. Then edits a file, with and
// without scripts, and tries to forge a request.
//
// CONVOY_URL    the console, required
// CONVOY_TOKEN  an operator's token, unless everybody may do everything
// CONVOY_SHOTS  a folder for screenshots
// CONVOY_REPO   project/repository; default: the first with a pipeline
// CONVOY_FILE   the file to edit; default: the first below resources/
// CHROMIUM      the browser, default /usr/bin/chromium
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const base = process.env.CONVOY_URL?.replace(/\/$/, '');
if (!base) throw new Error('set CONVOY_URL to the console that is to be tested');
const token = process.env.CONVOY_TOKEN;
const shots = process.env.CONVOY_SHOTS;
if (shots) mkdirSync(shots, { recursive: true });

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const failures = [];
let checks = 0;
const check = (ok, what) => {
  checks += 1;
  if (!ok) {
    failures.push(what);
    console.error(`FAIL ${what}`);
  }
};

const api = async (path) => {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const answer = await fetch(`${base}/api/v1${path}`, { headers });
  if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
};

/** What there is to visit, asked of the API. */
const survey = async () => {
  const { repos } = await api('/repos');
  const wanted = process.env.CONVOY_REPO;
  const found = wanted ? repos.find(({ repo }) => repo === wanted) : repos.find(({ stages }) => stages.length > 0);
  if (!found) throw new Error('no repository with a pipeline is there to be tested');
  const { repo, stages } = found;
  const { files } = await api(`/repos/${repo}/files`);
  const file = process.env.CONVOY_FILE
    ?? files.map(({ path }) => path).find((path) => path.startsWith('resources/'));
  if (!file) throw new Error(`${repo} has no file below resources/`);
  const { bundles } = await api(`/repos/${repo}/bundles`);
  const { promotions } = await api('/promotions');
  return { repo, stages, file, bundles, promotions };
};

const pagesOf = ({ repo, stages, file, bundles, promotions }) => {
  const pages = {
    board: '/',
    nodes: '/nodes',
    'nodes-stage': `/nodes?stage=${stages[0]}`,
    promotions: '/promotions',
    access: '/access',
    project: `/access/projects/${repo.split('/')[0]}`,
    audit: '/audit',
    'audit-repo': `/audit?repo=${encodeURIComponent(repo)}`,
    mirrors: '/mirrors',
    folder: `/r/${repo}/files`,
    file: `/r/${repo}/files/${file}`,
    'file-line': `/r/${repo}/files/${file}#L2`,
    history: `/r/${repo}/history`,
    'history-file': `/r/${repo}/history?path=${encodeURIComponent(file)}`,
    'diff-choose': `/r/${repo}/diff`,
    diff: `/r/${repo}/diff?from=${stages[0]}&to=${stages.at(-1)}`,
    editor: `/r/${repo}/edit/${file}`,
    'editor-new': `/r/${repo}/edit/resources/clusters/brand-new.yaml`,
    'not-found': '/no/such/page',
    'no-bundle': '/bundles/b-000000000000',
    'no-side': `/r/${repo}/diff?from=${stages[0]}&to=no-such-stage`,
  };
  if (bundles[0]) pages.bundle = `/bundles/${bundles[0].id}`;
  const rejected = bundles.find(({ status }) => status === 'rejected');
  if (rejected) pages['bundle-rejected'] = `/bundles/${rejected.id}`;
  if (promotions[0]) pages.promotion = `/promotions/${promotions[0].id}`;
  const open = promotions.find(({ status }) => status === 'gated');
  if (open) pages['promotion-open'] = `/promotions/${open.id}`;
  return pages;
};

const logIn = async (page) => {
  if (!token) return;
  await page.goto(`${base}/login?next=/nodes`);
  await page.fill('#token', token);
  await page.click('button.primary');
  await page.waitForURL(`${base}/nodes`);
};

/** A context whose every page reports script errors and policy violations. */
const contextOf = async (browser, options) => {
  const context = await browser.newContext({ baseURL: base, ...options });
  await context.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return context;
};

/** The pages that differ from another one in their data alone: axe reads them once. */
const ALIKE = ['nodes-stage', 'file-line', 'history-file', 'editor-new', 'no-bundle', 'diff-choose'];
const MISSING = ['not-found', 'no-bundle', 'no-side'];

const readByAxe = async (page, label) => {
  const { violations } = await new AxeBuilder({ page }).withTags(TAGS).analyze();
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3).join(' | ')}`);
  check(violations.length === 0, `${label}: axe says ${told.join('; ')}`);
};

/** Loads a page once and looks at it at both widths. */
const visit = async (page, name, path, colorScheme) => {
  const errors = [];
  const onConsole = (message) => {
    // The browser reports the status of a page that is meant to be missing.
    const expected = MISSING.includes(name) && /status of 4(04|22)/.test(message.text());
    if (message.type() === 'error' && !expected) errors.push(message.text());
  };
  const onError = (error) => errors.push(String(error));
  const onRequest = (request) => {
    if (!request.url().startsWith(base)) errors.push(`asked ${request.url()}`);
  };
  page.on('console', onConsole).on('pageerror', onError).on('request', onRequest);
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(path, { waitUntil: 'load' });
  const title = await page.title();
  check(title.endsWith('· Convoy'), `${name}: the title is "${title}"`);
  if (MISSING.includes(name)) {
    check(/Request id [\w.-]+/.test(await page.locator('main').innerText()), `${name}: no request id is shown`);
  }
  for (const width of [1280, 360]) {
    const label = `${name} ${colorScheme} ${width}`;
    await page.setViewportSize({ width, height: 800 });
    if (shots) await page.screenshot({ path: join(shots, `${label.replaceAll(' ', '-')}.png`), fullPage: true });
    await page.evaluate(() => { for (const one of document.querySelectorAll('main details')) one.open = true; });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(over <= 0, `${label}: the page scrolls sideways by ${over} px`);
    // Colours don't depend on the width, layout doesn't on the theme.
    const read = ALIKE.includes(name) ? colorScheme === 'light' && width === 1280 : colorScheme === 'light' || width === 1280;
    if (read) await readByAxe(page, label);
  }
  const broken = await page.evaluate(() => window.violations);
  check(broken.length === 0, `${name} ${colorScheme}: the content policy was broken: ${broken.join(', ')}`);
  check(errors.length === 0, `${name} ${colorScheme}: the console says ${errors.join(' | ')}`);
  page.off('console', onConsole).off('pageerror', onError).off('request', onRequest);
};

const visitAll = (browser, pages) => Promise.all(['light', 'dark'].map(async (colorScheme) => {
  const context = await contextOf(browser, { colorScheme });
  const page = await context.newPage();
  page.on('dialog', (dialog) => dialog.accept());
  if (token) await visit(page, 'login', '/login', colorScheme);
  await logIn(page);
  for (const [name, path] of Object.entries(pages)) await visit(page, name, path, colorScheme);
  await context.close();
}));

/** The first key leads past the navigation, and every stop shows where it is. */
const walkByKeys = async (browser) => {
  const context = await contextOf(browser, { viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await logIn(page);
  await page.goto('/');
  await page.keyboard.press('Tab');
  const skip = page.locator('a.skip');
  check(await skip.evaluate((one) => one === document.activeElement && one.getBoundingClientRect().left >= 0), 'keys: the first stop is not the skip link');
  await page.keyboard.press('Enter');
  check(await page.evaluate(() => document.activeElement.id) === 'main', 'keys: the skip link does not lead to the content');
  await page.goto('/');
  let unseen = 0;
  for (let stop = 0; stop < 25; stop += 1) {
    await page.keyboard.press('Tab');
    const outlined = await page.evaluate(() => document.activeElement === document.body
      || getComputedStyle(document.activeElement).outlineStyle !== 'none');
    if (!outlined) unseen += 1;
  }
  check(unseen === 0, `keys: ${unseen} stops show no focus`);
  await context.close();
};

/** A request for promotion shows on an open board, and its end too. */
const followLive = async (browser, { repo }) => {
  const { stages } = await api(`/repos/${repo}/board`);
  const free = stages.find(({ candidate, approvals_needed: needed, open }) => candidate && needed > 0 && open.length === 0);
  check(Boolean(free), 'live: no stage has something that could be promoted and waits for approval');
  if (!free) return;
  const context = await contextOf(browser, { viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await logIn(page);
  await page.goto('/');
  const blocked = page.locator(`[data-obstacle="${free.stage}"]`);
  check(await blocked.count() === (free.obstacle ? 1 : 0), `live: what keeps ${free.stage} from its candidate is not on the board`);
  await page.locator('#live', { hasText: 'Live' }).waitFor({ timeout: 10_000 });
  const act = async (path, body) => {
    const headers = { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(`${base}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const shown = async (what, done) => {
    const began = Date.now();
    await done().catch(() => {});
    const took = Date.now() - began;
    check(took <= 1000, `live: ${what} after ${took} ms`);
    console.log(`live: ${what} after ${took} ms`);
  };
  if (free.obstacle) {
    // What a rollback leaves: nothing comes back until somebody says so.
    await act(`/repos/${repo}/bundles/${free.candidate.id}/unveto`, { stage: free.stage });
    await act(`/repos/${repo}/stages/${free.stage}/unpin`, {});
  }
  const { promotion } = await act(`/repos/${repo}/promotions`, { stage: free.stage, bundle: free.candidate.id, reason: 'to see the board change' });
  const card = page.locator(`[data-promotion="${promotion.id}"]`);
  await shown('a request is on the board', () => card.waitFor({ timeout: 10_000 }));
  // What somebody types must outlive news.
  await page.locator(`#approve-${promotion.id} summary`).click();
  const note = page.locator(`#note-${promotion.id}`);
  await note.fill('half a thought');
  await act(`/promotions/${promotion.id}/cancel`, { reason: 'seen' });
  check(await note.inputValue() === 'half a thought', 'live: what was typed is gone');
  await note.fill('');
  await page.locator('a.brand').focus();
  await shown('its end is on the board', () => card.waitFor({ state: 'detached', timeout: 10_000 }));
  await context.close();
};

/** The line that a wrong field is appended as. */
const spoil = (text) => {
  const whole = text.replace(/\n*$/, '\n');
  return { text: `${whole}no_such_field_here: 1\n`, line: whole.split('\n').length };
};

const editLive = async (browser, { repo, file }) => {
  const context = await contextOf(browser, { viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  let guarded = 0;
  page.on('dialog', (dialog) => {
    guarded += 1;
    dialog.accept();
  });
  await logIn(page);
  await page.goto(`/r/${repo}/edit/${file}`);
  const area = page.locator('#content');
  const before = await area.inputValue();
  const wrong = spoil(before);
  const began = Date.now();
  await area.fill(wrong.text);
  const row = page.locator(`#problems li[data-line="${wrong.line}"]`);
  await row.first().waitFor({ timeout: 10_000 }).catch(() => {});
  check(await row.count() > 0, `editor: line ${wrong.line} is not among the problems:\n${await page.locator('#problems').innerText()}`);
  console.log(`editor: from key to problem ${Date.now() - began} ms`);
  check(await page.locator('#verdict').getAttribute('data-state') === 'bad', 'editor: the verdict is not bad');
  const marked = await page.locator('#gutter .wrong').allInnerTexts();
  check(marked.includes(`✗${wrong.line}`), 'editor: the gutter does not mark the line');
  if (shots) await page.screenshot({ path: join(shots, 'editor-problem.png'), fullPage: true });
  if (await row.count() > 0) {
    await row.first().locator('a.jump').click();
    const caret = await area.evaluate((at) => at.value.slice(0, at.selectionStart).split('\n').length);
    check(caret === wrong.line, `editor: the link leads to line ${caret}, not ${wrong.line}`);
  }
  const { violations } = await new AxeBuilder({ page }).withTags(TAGS).analyze();
  check(violations.length === 0, `editor with problems: axe says ${violations.map(({ id }) => id).join(', ')}`);
  // An answer to an earlier text must not be shown for a later one.
  const isLate = (request) => request.url().endsWith('/validate') && request.postData().includes('no_such_field_here');
  let release;
  const released = new Promise((done) => { release = done; });
  await page.route('**/validate', async (route) => {
    if (isLate(route.request())) await released;
    await route.continue();
  });
  const asked = page.waitForRequest(isLate);
  await area.fill(`${wrong.text} `);
  await asked;
  await area.fill(before);
  await page.locator('#verdict[data-state="ok"]').waitFor({ timeout: 10_000 }).catch(() => {});
  const late = page.waitForResponse((answer) => isLate(answer.request()));
  release();
  await (await late).finished();
  // What was asked later is answered later: then the late answer was seen.
  await page.evaluate(async () => (await fetch('/healthz')).text());
  check(await row.count() === 0, 'editor: an answer to an earlier text was shown');
  await page.unroute('**/validate');
  await area.press('End');
  await area.press('x');
  await area.press('Tab');
  check(await page.evaluate(() => document.activeElement.id) !== 'content', 'editor: Tab does not leave the text');
  await page.goto('/nodes');
  check(guarded === 1, 'editor: leaving with unsaved text was not asked about');
  await context.close();
};

const readWithoutScripts = async (browser, { repo, file, stages }) => {
  const context = await browser.newContext({ baseURL: base, javaScriptEnabled: false });
  const page = await context.newPage();
  await logIn(page);
  await page.goto('/');
  for (const stage of stages) {
    check(await page.locator(`[data-stage="${stage}"]`).count() > 0, `without scripts: ${stage} is not on the board`);
  }
  await page.goto(`/r/${repo}/files/${file}`);
  check(await page.locator('#L1').count() === 1, 'without scripts: the file has no lines');
  await page.goto(`/r/${repo}/edit/${file}`);
  const wrong = spoil(await page.locator('#content').inputValue());
  await page.locator('#content').fill(wrong.text);
  await page.locator('button[value=check]').click();
  check(await page.locator(`#problems li[data-line="${wrong.line}"]`).count() > 0, 'without scripts: the wrong line is not shown');
  check(await page.locator('#content').inputValue() === wrong.text, 'without scripts: the draft changed');
  await context.close();
};

/** Other sites' requests are refused, whatever cookie goes along. */
const forge = async (browser, { repo, stages, bundles }) => {
  const context = await browser.newContext({ baseURL: base });
  const page = await context.newPage();
  await logIn(page);
  const address = `/r/${repo}/stages/${stages[0]}/promote`;
  const form = { bundle: bundles[0]?.id ?? 'b-0', reason: 'forged' };
  for (const headers of [{ origin: 'https://evil.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }, { origin: base }]) {
    const answer = await context.request.post(address, { form, headers, maxRedirects: 0 });
    check(answer.status() === 403, `forged request with ${JSON.stringify(headers)}: ${answer.status()}`);
    const page = await answer.text();
    check(page.includes(answer.headers()['x-request-id']), 'forged request: the page does not show its request id');
  }
  const answer = await context.request.get('/');
  const policy = answer.headers()['content-security-policy'] ?? '';
  check(policy.includes("default-src 'none'") && !policy.includes('unsafe'), `the content policy is "${policy}"`);
  await context.close();
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});
try {
  const found = await survey();
  const pages = pagesOf(found);
  const began = Date.now();
  await visitAll(browser, pages);
  await walkByKeys(browser);
  await followLive(browser, found);
  await editLive(browser, found);
  await readWithoutScripts(browser, found);
  await forge(browser, found);
  console.log(`${Object.keys(pages).length} pages × 2 themes × 2 widths: ${checks} checks, ${failures.length} failures, ${Math.round((Date.now() - began) / 1000)} s`);
} finally {
  await browser.close();
}
process.exitCode = failures.length > 0 ? 1 : 0;
