// The node's page: asks /v1 for how things stand, and listens to what changes. Nothing from a node's
// files is ever put into the page as HTML: only as text, and links only to http(s) and magnets.

const POINTS = 60; // of a line: two minutes at one every 2 s
const EVERY_MS = 2000;
const CHANGES = 12;

const at = (id) => document.getElementById(id);

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let unit = 0;
  for (; bytes >= 1023.95 && unit < 6; unit++) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toPrecision(3)} ${units[unit]}`;
}

const rate = (bps) => `${size(Math.round(bps))}/s`;
const count = (n, noun) => `${n.toLocaleString()} ${noun}${n === 1 ? '' : 's'}`;

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function link(text, url) {
  if (!/^(https?:|magnet:|\/)/.test(url ?? '')) return element('span', text);
  const made = element('a', text);
  made.href = url;
  return made;
}

class Line {
  constructor(svg) {
    this.svg = svg;
    this.points = [];
    this.path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    svg.append(this.path);
  }

  add(value) {
    this.points.push(value);
    if (this.points.length > POINTS) this.points.shift();
    const top = Math.max(1, ...this.points);
    const x = (i) => (120 * (POINTS - this.points.length + i)) / (POINTS - 1);
    const y = (v) => 31 - (30 * v) / top;
    const line = this.points.map((v, i) => `${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join(' L');
    this.path.setAttribute('d', `M${x(0).toFixed(1)} 33 L${line} L121 33Z`);
  }
}

// A counter that only grows, to a rate; it begins anew when the node did.
class Rate {
  next(total, now) {
    const was = this.total;
    const since = (now - this.at) / 1000;
    this.total = total;
    this.at = now;
    return was === undefined || total < was || since <= 0 ? 0 : (total - was) / since;
  }
}

const web = { rate: new Rate(), line: new Line(at('web-line')) };
const bt = { rate: new Rate(), line: new Line(at('bt-line')) };

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: 'application/json' } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const text = await answer.text();
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

function showState(word) {
  at('state').textContent = word;
  at('state').dataset.is = word;
}

function showStored({ bytes_published: published, bytes_stored: stored, files }) {
  at('published').textContent = size(published);
  at('files').textContent = count(files, 'file');
  at('stored').textContent = size(stored);
  const saved = published > stored ? Math.round(100 * (1 - stored / published)) : 0;
  at('saving').textContent = published === 0 ? '' : `1 : ${(published / Math.max(1, stored)).toFixed(2)}`
    + (saved > 0 ? `, ${saved} % saved` : '');
  at('ratio').firstElementChild.style.width = `${published === 0 ? 0 : Math.min(100, (100 * stored) / published)}%`;
  at('ratio').setAttribute('aria-label', `${size(stored)} stored for ${size(published)} published`);
}

function showSent(status, now) {
  const sent = status.http.bytes_sent;
  const webRate = web.rate.next(sent, now);
  at('web-rate').textContent = rate(webRate);
  at('web-total').textContent = `${size(sent)}, ${count(status.http.connections, 'connection')}`;
  web.line.add(webRate);
  if (!status.bt) {
    at('bt-rate').textContent = 'off';
    return;
  }
  const btRate = bt.rate.next(status.bt.uploaded, now);
  at('bt-rate').textContent = rate(btRate);
  at('bt-total').textContent = `${size(status.bt.uploaded)}, ${count(status.bt.peers, 'peer')}`;
  bt.line.add(btRate);
}

function bar(part, label) {
  const made = element('div', null, 'bar');
  const inner = element('i');
  inner.style.width = `${Math.max(0, Math.min(100, 100 * part))}%`;
  made.setAttribute('role', 'img');
  made.setAttribute('aria-label', label);
  made.append(inner);
  return made;
}

let mostLeft = 0; // bytes to hash when it began

function showWork({ catalog, scrub }) {
  const lines = [];
  const { files, bytes_left: left, rate: bps } = catalog.hashing;
  mostLeft = left === 0 ? 0 : Math.max(mostLeft, left);
  if (files > 0) {
    const words = `Hashing ${count(files, 'file')}: ${size(left)} left`
      + (bps > 0 ? ` at ${rate(bps)}, ${Math.ceil(left / bps)} s` : '');
    lines.push(element('p', words), bar(mostLeft === 0 ? 0 : 1 - left / mostLeft, words));
  }
  if (scrub.state === 'running') {
    const { bytes, bytes_done: done, rate: bps, damaged } = scrub;
    const words = `Scrub: ${size(done)} of ${size(bytes)} read again`
      + (bps > 0 ? ` at ${rate(bps)}` : '')
      + (damaged > 0 ? `, ${count(damaged, 'file')} damaged` : '');
    lines.push(element('p', words), bar(bytes === 0 ? 0 : done / bytes, words));
  }
  at('work').replaceChildren(...lines);
  at('work').hidden = lines.length === 0;
}

function showFaults(faults) {
  at('faults').replaceChildren(...faults.map((f) => element('p', `${f.about}: ${f.message}`)));
  at('faults').hidden = faults.length === 0;
}

const MOODS = {
  ok: 'good', seeding: 'good', missing: 'bad', failed: 'bad', refused: 'bad',
};

function stateCell(item) {
  const cell = element('td');
  const word = item.is_paused ? `${item.state}, paused` : item.state;
  cell.append(element('span', word, MOODS[item.state] ?? 'mark'));
  if (item.refused > 0) cell.append(element('span', `, ${item.refused} refused`, 'bad'));
  if (item.error) cell.append(element('span', item.error, 'error'));
  return cell;
}

function collectionRow(item) {
  const row = element('tr');
  const name = element('td');
  name.append(link(item.name, item.url));
  const links = element('td');
  if (item.torrent_url) links.append(link('torrent', item.torrent_url));
  if (item.magnet) links.append(link('magnet', item.magnet));
  row.append(name, stateCell(item), element('td', item.files.toLocaleString(), 'n'), element('td', size(item.bytes), 'n'),
    element('td', item.peers ?? '', 'n'), element('td', item.uploaded === undefined ? '' : size(item.uploaded), 'n'), links);
  return row;
}

function torrentRow(item) {
  const row = element('tr');
  row.append(element('td', item.name ?? item.v1 ?? item.v2), stateCell(item),
    element('td', item.total > 0 ? `${((100 * item.done) / item.total).toFixed(1)} %` : '', 'n'),
    element('td', item.total > 0 ? size(item.total) : '', 'n'), element('td', item.peers, 'n'),
    element('td', rate(item.rate_down), 'n'), element('td', rate(item.rate_up), 'n'));
  return row;
}

function fill(id, rows) {
  at(id).tBodies[0].replaceChildren(...rows);
}

async function showItems() {
  const items = await ask('/v1/items?limit=500');
  const collections = items.filter((i) => i.type === 'collection');
  const torrents = items.filter((i) => i.type === 'torrent');
  fill('collections', collections.map(collectionRow));
  fill('torrents', torrents.map(torrentRow));
  at('no-collections').hidden = collections.length > 0;
  at('torrents-part').hidden = torrents.length === 0;
}

let listens = false;

async function turn() {
  try {
    const [status] = await ask('/v1/status');
    showState(status.state);
    if (!listens) listen(status.seq);
    listens = true;
    at('version').textContent = status.version;
    showStored(status.catalog);
    showSent(status, status.now_ms);
    showWork(status);
    showFaults(status.faults);
    await showItems();
  } catch (error) {
    showState('unreachable');
    at('state').title = error.message;
  }
}

const WORDS = {
  'collection-added': 'published', 'collection-changed': 'has other settings',
  'collection-removed': 'no longer published', 'collection-complete': 'is complete',
  'collection-away': 'its folder is not there', 'collection-back': 'its folder is there again',
  'file-held': 'is served', 'file-changed': 'has changed', 'file-moved': 'has another name',
  'file-missing': 'is gone', 'file-refused': 'is refused', 'file-damaged': 'is damaged',
  'torrent-added': 'added', 'torrent-state': 'is', 'torrent-removed': 'removed',
  gap: 'changes before this are no longer kept',
};

function showChange(change) {
  const line = element('li');
  line.append(element('time', new Date(change.at_ms ?? Date.now()).toLocaleTimeString()));
  const what = [change.name, change.path].filter(Boolean).join(': ');
  line.append(element('b', what), ` ${WORDS[change.type] ?? change.type} ${change.state ?? ''}`);
  at('changes').prepend(line);
  while (at('changes').childElementCount > CHANGES) at('changes').lastElementChild.remove();
}

function listen(seq) {
  const changes = new EventSource(`/v1/changes?wait=3600&since=${Math.max(0, seq - CHANGES)}`);
  for (const type of Object.keys(WORDS)) {
    changes.addEventListener(type, (event) => showChange(JSON.parse(event.data)));
  }
}

// A hidden page asks nothing.
setInterval(() => document.hidden || turn(), EVERY_MS);
document.addEventListener('visibilitychange', () => document.hidden || turn());
turn();
