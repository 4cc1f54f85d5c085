// The timeline: what ran on each subarray, and how it ended, as SVG.

const SVG = "http://www.w3.org/2000/svg";
const FINAL = new Set(["COMPLETE", "FAILED", "STOPPED"]);
const MARK = { COMPLETE: "✓", FAILED: "✕", STOPPED: "■", RUNNING: "▶" };
const STEPS = [5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400];
const LANE = 26;
const BAR = LANE - 7;
const LETTER = 6.9;
const LEFT = 104;
const RIGHT = 14;
const AXIS = 22;

function shape(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Observatories count in UTC.
const clock = (seconds, exact) => new Date(seconds * 1000).toISOString().slice(11, exact ? 19 : 16);

function span(procedure, now) {
  const states = procedure.history.process_states;
  const at = (name) => (states.find(([state]) => state === name) || [])[1];
  const end = FINAL.has(procedure.state) ? states.at(-1)[1] : now;
  return { start: states[0][1], run: at("RUNNING"), end };
}

// Rows by subarray; procedures that overlap in time get lanes of their own.
function rows(procedures, now) {
  const found = new Map();
  for (const procedure of procedures) {
    for (const key of procedure.subarray_ids.length ? procedure.subarray_ids : [""]) {
      if (!found.has(key)) found.set(key, []);
      found.get(key).push({ procedure, ...span(procedure, now) });
    }
  }
  const order = [...found.keys()].sort((a, b) => (a === "") - (b === "") || a - b);
  return order.map((key) => {
    const ends = [];
    for (const item of found.get(key)) {
      let lane = ends.findIndex((end) => end <= item.start);
      if (lane < 0) lane = ends.push(0) - 1;
      ends[lane] = item.end;
      item.lane = lane;
    }
    const items = found.get(key);
    for (const item of items) item.until = Math.min(...items.filter((each) => each.lane === item.lane && each.start > item.start).map((each) => each.start));
    return { name: key === "" ? "no subarray" : `subarray ${key}`, items, lanes: ends.length };
  });
}

// The longest name for a bar that has room, in it or after it; nothing may be written over its neighbour.
function caption(item, inside, after) {
  const { procedure } = item;
  const short = `${MARK[procedure.state] || ""} ${procedure.id}`.trim();
  const width = (text) => text.length * LETTER + 12;
  const full = `${short} ${procedure.name}`;
  if (width(full) <= inside) return [full, true];
  if (width(full) <= after) return [full, false];
  if (width(short) <= inside) return [short, true];
  return width(short) <= after ? [short, false] : ["", false];
}

function bar(item, x, y, chosen, choose) {
  const { procedure } = item;
  const from = x(item.start);
  const to = Math.max(x(item.end), from + 4);
  const label = `Procedure ${procedure.id}, ${procedure.name}, ${procedure.state}, created ${clock(item.start, true)}`;
  const group = shape("g", {
    class: `bar ${procedure.state}${procedure.id === chosen ? " chosen" : ""}`, tabindex: 0, role: "button", "aria-label": label,
    "data-id": procedure.id,
  });
  const ran = item.run !== undefined;
  const run = ran ? Math.min(Math.max(from, x(item.run)), to - 3) : from;
  group.append(shape("title", {}, label));
  if (ran) group.append(shape("rect", { class: "run", x: run, y, width: to - run, height: BAR, rx: 4 }));
  else if (FINAL.has(procedure.state)) group.append(shape("rect", { class: "end", x: to - 4, y, width: 4, height: BAR, rx: 2 }));
  group.append(shape("rect", { class: "frame", x: from, y, width: to - from, height: BAR, rx: 4 }));
  const [text, inside] = caption(item, to - run, x(item.until) - to);
  if (inside) group.append(shape("text", { class: ran ? "in" : "", x: run + 6, y: y + 13.5 }, text));
  else if (text) group.append(shape("text", { x: to + 5, y: y + 13.5 }, text));
  group.addEventListener("click", () => choose(procedure.id));
  group.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(procedure.id);
    }
  });
  return group;
}

function range(procedures, seconds, now) {
  const oldest = Math.min(...procedures.map((each) => each.history.process_states[0][1]), now - 30);
  const start = seconds ? now - seconds : oldest;
  return [start, now + (now - start) * 0.1]; // room for the label of what has just begun
}

export function draw(host, procedures, { seconds, chosen, choose }) {
  const width = Math.max(host.clientWidth, 320);
  const newest = procedures.flatMap((each) => each.history.process_states.map(([, time]) => time));
  const now = Math.max(Date.now() / 1000, ...newest);
  const [start, end] = range(procedures, seconds, now);
  const x = (time) => LEFT + ((Math.min(Math.max(time, start), end) - start) / (end - start)) * (width - LEFT - RIGHT);
  const bands = rows(procedures.filter((each) => span(each, now).end >= start), now);
  const height = AXIS + Math.max(1, bands.reduce((sum, band) => sum + band.lanes, 0)) * LANE + bands.length * 6 + 4;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": "Timeline of procedures by subarray" });
  const step = STEPS.find((each) => (end - start) / each <= (width - LEFT) / 90) || 86400;
  for (let tick = Math.ceil(start / step) * step; tick < end; tick += step) {
    svg.append(shape("line", { class: "grid", x1: x(tick), x2: x(tick), y1: AXIS - 4, y2: height }));
    svg.append(shape("text", { class: "tick", x: x(tick), y: 12, "text-anchor": "middle" }, clock(tick, step < 60)));
  }
  let top = AXIS;
  for (const band of bands) {
    svg.append(shape("rect", { class: "band", x: 0, y: top, width, height: band.lanes * LANE + 2, rx: 5 }));
    svg.append(shape("text", { class: "row", x: 8, y: top + 17 }, band.name));
    for (const item of band.items) svg.append(bar(item, x, top + item.lane * LANE + 4, chosen, choose));
    top += band.lanes * LANE + 6;
  }
  if (!bands.length) svg.append(shape("text", { class: "row", x: LEFT, y: AXIS + 17 }, "Nothing has run yet."));
  const focused = host.contains(document.activeElement) ? document.activeElement.dataset?.id : null;
  host.replaceChildren(svg);
  if (focused) host.querySelector(`[data-id="${focused}"]`)?.focus();
}
