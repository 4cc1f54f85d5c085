// The page of an operator: everything on it comes from the API; nothing is kept here that the OET does not say.

import { Refused, listen, request } from "./stream.js";
import { draw } from "./timeline.js";

const FINAL = new Set(["COMPLETE", "FAILED", "STOPPED"]);
const REFRESH = 120; // ms; events of a burst become one question
const AGAIN = 2_000; // ms; after a question that was not answered, since no event need follow
const EVENTS = 200;
const PAST = 500; // procedures of the history in the picture
const LINES = 2000;

const $ = (selector, root = document) => root.querySelector(selector);
const state = { procedures: [], activities: [], chosen: null, unlisted: null, past: new Map(), since: undefined, lastLine: 0, shown: null, listening: false, whyNotReady: null };

function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const number = (uri) => Number(uri.split("/").at(-1));
const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19); // UTC, as observatories count
const scriptName = (script) => script.script_name || (script.script_uri || "").split("/").at(-1);
const json = (value) => JSON.stringify(value);

// ---------------------------------------------------------------- messages

let alertTimer = null;
function tell(message) {
  const alert = $("#alert");
  alert.textContent = message;
  alert.hidden = !message;
  clearTimeout(alertTimer);
  if (message) alertTimer = setTimeout(() => tell(""), 15_000);
}

function link(kind, text) {
  const status = $("#link");
  if (status.dataset.link === kind && status.textContent === text) return;
  status.dataset.link = kind;
  status.textContent = text;
}

// Live is only a page of a controller that can start scripts.
function showLink() {
  if (state.whyNotReady) link("away", `not ready: ${state.whyNotReady}`);
  else link("live", "live");
}

// ---------------------------------------------------------------- reading

// Rounds of questions do not overlap, and events of a burst become one. Resolves when a round that began after
// the call is over, so that what a request has changed is on the page by then.
let turn = Promise.resolve();
let round = null;
function refresh() {
  round ??= turn.then(() => {
    round = null;
    const done = read();
    turn = done.then(() => new Promise((resolve) => setTimeout(resolve, REFRESH)));
    return done;
  });
  return round;
}

async function read() {
  const chosen = state.chosen;
  try {
    const [procedures, activities] = await Promise.all([request("GET", "/procedures"), request("GET", "/activities")]);
    state.procedures = procedures.procedures.map(named);
    state.activities = activities.activities.map((each) => ({ ...each, id: number(each.uri) }));
    if (seconds()) for (const each of state.procedures) state.past.set(each.id, each);
    state.unlisted = await unlisted(chosen);
    // Somebody may have chosen another one meanwhile: it is for the next round to find that one.
    if (state.chosen === chosen && !shown(chosen)) state.chosen = state.procedures.at(-1)?.id ?? null;
    show();
    if (state.listening) showLink();
  } catch (error) {
    if (error.status === 401) await askToken();
    else link("away", error instanceof Refused ? `controller away: ${error.message}` : "the OET does not answer");
    setTimeout(refresh, AGAIN);
  }
}

const shown = (id) => [...state.procedures, state.unlisted].find((each) => each && each.id === id);
const named = (each) => ({ ...each, id: number(each.uri), name: scriptName(each.script) });

// A procedure that has left the list stays on the page for as long as somebody looks at it: the history has it.
async function unlisted(id) {
  if (id === null || state.procedures.some((each) => each.id === id)) return null;
  try {
    return named((await request("GET", `/procedures/${id}`)).procedure);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

async function readOutput() {
  const since = state.since;
  const box = $("#output");
  if (!since) return;
  try {
    const output = await request("GET", `/procedures/${state.chosen}/output?since=${state.lastLine}`);
    if (since === state.since) addLines(output.lines, output.dropped);
  } catch (error) {
    if (since === state.since && !box.childElementCount) box.textContent = error.message;
  }
}

function addLines(lines, dropped = 0) {
  const box = $("#output");
  if (dropped) box.append(h("span", { class: "log" }, `… ${dropped} earlier lines are no longer kept\n`));
  for (const line of lines) {
    if (line.line <= state.lastLine) continue;
    state.lastLine = line.line;
    const level = line.level ? `${line.level} ` : "";
    box.append(h("span", { class: `${line.stream} ${line.level || ""}`, title: clock(line.time) }, `${level}${line.text}\n`));
  }
  while (box.childElementCount > LINES) box.firstElementChild.remove();
  if ($("#follow").checked) box.scrollTop = box.scrollHeight;
}

// ---------------------------------------------------------------- showing

async function choose(id) {
  state.chosen = id;
  if (!shown(id)) await refresh();
  show();
}

// After a restart of the controller a number means another procedure: its moment of creation tells them apart.
function follow(procedure) {
  const since = procedure && `${procedure.id} ${procedure.history.process_states[0][1]}`;
  if (since === state.since) return;
  state.since = since;
  state.lastLine = 0;
  siftAll();
  $("#output").replaceChildren();
  readOutput();
}

const badge = (name) => h("span", { class: `state ${name}` }, name);

function procedureRow(each) {
  const progress = each.progress && !FINAL.has(each.state) ? ` ${Math.round(each.progress.percent)} %` : "";
  return h("tr", { class: each.id === state.chosen ? "chosen" : "", onclick: () => choose(each.id) },
    h("td", {}, h("button", { class: "link", "aria-label": `Show procedure ${each.id}`, "aria-pressed": each.id === state.chosen }, String(each.id))),
    h("td", { class: "script", title: each.script.script_uri || each.name }, each.name),
    h("td", {}, each.subarray_ids.join(", ") || "–"),
    h("td", {}, clock(each.history.process_states[0][1])),
    h("td", {}, badge(each.state), progress));
}

function activityRow(each) {
  const pid = each.procedure_id;
  const procedure = pid === null ? "–"
    : h("button", { class: "link", "aria-label": `Show procedure ${pid}`, onclick: () => choose(pid) }, String(pid));
  return h("tr", {}, h("td", {}, String(each.id)), h("td", {}, each.activity_name), h("td", { class: "script", title: each.sbd_id }, each.sbd_id),
    h("td", {}, procedure), h("td", {}, clock(each.activity_states[0][1])), h("td", {}, badge(each.state), each.message ? h("div", { class: "why" }, each.message) : null));
}

function fill(body, rows, columns, nothing) {
  const active = document.activeElement;
  const label = body.contains(active) ? active.getAttribute("aria-label") : null;
  body.replaceChildren(...(rows.length ? rows : [h("tr", {}, h("td", { colspan: columns, class: "none" }, nothing))]));
  if (label) body.querySelector(`[aria-label="${label}"]`)?.focus();
}

function show() {
  const chosen = shown(state.chosen);
  fill($("#procedures"), state.procedures.toReversed().map(procedureRow), 5, "None yet. “New procedure” loads a script.");
  fill($("#activities"), state.activities.toReversed().map(activityRow), 6, "None yet. “Run activity” runs one of a Scheduling Block.");
  timeline();
  about(chosen);
  follow(chosen);
}

const seconds = () => Number($("#span").value);

// A picture of some hours has more than the list: the history has it once, and what leaves the list later stays.
async function recall() {
  state.past.clear();
  if (seconds()) {
    try {
      const { procedures } = await request("GET", `/history?since=${Date.now() / 1000 - seconds()}&limit=${PAST}`);
      state.past = new Map(procedures.map((each) => [number(each.uri), named(each)]));
    } catch (error) {
      tell(`The picture has only what is listed: ${error.message}`);
    }
  }
  timeline();
}

function timeline() {
  const all = new Map([...state.past, ...state.procedures.map((each) => [each.id, each])]);
  const ordered = [...all.values()].sort((a, b) => a.history.process_states[0][1] - b.history.process_states[0][1]);
  draw($("#chart"), ordered, { seconds: seconds(), chosen: state.chosen, choose });
}

function call(name, given) {
  const parts = [...given.args.map(json), ...Object.entries(given.kwargs).map(([key, value]) => `${key}=${json(value)}`)];
  return h("code", { class: "code" }, `${name}(${parts.join(", ")})`);
}

function about(procedure) {
  const host = $("#about");
  const said = json(procedure ?? null);
  if (said === state.shown) return;
  state.shown = said;
  const active = host.contains(document.activeElement) ? document.activeElement.textContent : null;
  $("#detail-title").textContent = procedure ? `Procedure ${procedure.id}: ${procedure.name}` : "Procedure";
  host.replaceChildren(...(procedure ? details(procedure) : [h("p", {}, "Choose a procedure to see what it does.")]));
  if (active) [...host.querySelectorAll("button")].find((each) => each.textContent === active && !each.disabled)?.focus();
}

function details(procedure) {
  const { script, history, progress, exit } = procedure;
  const git = script.git_args;
  const from = git ? `${git.git_repo} ${git.git_commit || git.git_branch}` : null;
  const row = (name, value) => (value ? [h("dt", {}, name), h("dd", {}, value)] : []);
  return [
    h("div", { class: "headline" }, badge(procedure.state),
      h("div", { class: "buttons" },
        h("button", { class: "primary", ...(procedure.state === "READY" ? {} : { disabled: "" }), onclick: () => start(procedure) }, "Start"),
        h("button", { class: "danger", ...(FINAL.has(procedure.state) ? { disabled: "" } : {}), onclick: () => stop(procedure) }, "Stop"))),
    progress ? h("p", {}, h("progress", { max: 100, value: progress.percent, "aria-label": "Progress" }), ` ${Math.round(progress.percent)} % ${progress.message}`) : null,
    h("dl", {},
      ...row("Script", script.script_uri || script.script_name), ...row("Repository", from),
      ...row(procedure.subarray_ids.length > 1 ? "Subarrays" : "Subarray", procedure.subarray_ids.join(", ")),
      ...row("Calls", h("span", {}, call("init", procedure.script_args.init), h("br"), call("main", procedure.script_args.run))),
      ...row("End", exit && (exit.message || exit.stopped_by && `stopped by ${exit.stopped_by}` || exit.cause))),
    h("ol", { class: "steps", "aria-label": "History" },
      ...history.process_states.map(([name, time]) => h("li", {}, `${clock(time)} ${name}`))),
    history.stacktrace ? h("pre", { class: "trace", tabindex: 0, "aria-label": "Stack trace" }, history.stacktrace) : null,
  ].filter(Boolean);
}

// ---------------------------------------------------------------- acting

function parsed(text, fallback, kind) {
  if (!text.trim()) return fallback;
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${text} is no JSON: ${error.message}`);
  }
  if (Array.isArray(value) !== (kind === "list") || value === null || typeof value !== "object") throw new Error(`${text} is no JSON ${kind}`);
  return value;
}

// Opens a dialog; `act` gets its fields, and the dialog stays open with the fault when that throws.
function ask(id, act, what) {
  const dialog = $(id);
  const form = $("form", dialog);
  form.reset();
  form.dispatchEvent(new Event("input", { bubbles: true }));
  $(".fault", dialog).textContent = "";
  if (what) $(".what", dialog).textContent = what;
  form.onsubmit = async (event) => {
    if (event.submitter?.value === "cancel") return;
    event.preventDefault();
    const buttons = [...form.querySelectorAll("button[value=go]")];
    buttons.forEach((button) => (button.disabled = true));
    $(".fault", dialog).textContent = "";
    try {
      await act(form.elements);
      dialog.close();
    } catch (error) {
      $(".fault", dialog).textContent = error.message;
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
    refresh();
  };
  dialog.showModal();
  return dialog;
}

function newProcedure() {
  ask("#procedure-dialog", async (form) => {
    const kwargs = parsed(form.kwargs.value, {}, "object");
    if (form.subarray.value) kwargs.subarray_id = Number(form.subarray.value);
    const init = { args: parsed(form.args.value, [], "list"), kwargs };
    const uri = form.uri.value.trim();
    const script = { script_type: uri.startsWith("git://") ? "git" : "filesystem", script_uri: uri };
    if (script.script_type === "git") {
      script.create_env = form.env.checked;
      const git = {};
      if (form.repo.value.trim()) git.git_repo = form.repo.value.trim();
      if (form.branch.value.trim()) git.git_branch = form.branch.value.trim();
      if (Object.keys(git).length) script.git_args = git;
    }
    const { procedure } = await request("POST", "/procedures", { script, script_args: { init } });
    await choose(number(procedure.uri));
  });
}

$("#procedure-dialog").addEventListener("input", () => {
  const form = $("#procedure-dialog form").elements;
  $("#git").hidden = !form.uri.value.trim().startsWith("git:");
});

function start(procedure) {
  ask("#start-dialog", async (form) => {
    const run = { args: parsed(form.args.value, [], "list"), kwargs: parsed(form.kwargs.value, {}, "object") };
    const given = form.args.value.trim() || form.kwargs.value.trim();
    await request("PUT", `/procedures/${procedure.id}`, { state: "RUNNING", ...(given ? { script_args: { run } } : {}) });
  }, `Procedure ${procedure.id} calls main of ${procedure.name}. Without arguments here, those given when it was created are used.`);
}

function stop(procedure) {
  const dialog = ask("#stop-dialog", async (form) => {
    const { abort_message } = await request("PUT", `/procedures/${procedure.id}`, { state: "STOPPED", ...(form.abort.disabled ? {} : { abort: form.abort.checked }) });
    tell(abort_message);
  }, `Procedure ${procedure.id}, ${procedure.name}, is ${procedure.state}. Its process will be ended.`);
  // What the OET itself does where nothing is said: it aborts what main has been called for.
  const { abort } = $("form", dialog).elements;
  abort.disabled = !procedure.subarray_ids.length;
  abort.checked = !abort.disabled && procedure.state === "RUNNING";
}

function newActivity() {
  ask("#activity-dialog", async (form) => {
    const script_args = {};
    for (const name of ["init", "main"]) {
      if (form[name].value.trim()) script_args[name] = { kwargs: parsed(form[name].value, {}, "object") };
    }
    const body = { sbd_id: form.sbd.value.trim(), activity_name: form.activity.value.trim(), prepare_only: form.prepare.checked, script_args };
    await request("POST", "/activities", body);
  });
}

function askToken() {
  return new Promise((resolve) => {
    if ($("#token-dialog").open) return resolve();
    const dialog = ask("#token-dialog", async (form) => sessionStorage.setItem("oet-token", form.token.value.trim()));
    dialog.addEventListener("close", resolve, { once: true });
    return undefined;
  });
}

// ---------------------------------------------------------------- events

const WORDS = { gap: "events were lost", epoch: "the controller was restarted", disconnected: "the controller is away", reconnected: "the controller is back", readiness: "whether scripts can be started" };

// Whose event it is says the controller, in procedure_id; a script may call itself what it likes, in msg_src.
function summary(data) {
  const { time, topic, msg_src, request_id, procedure_id: id, ...rest } = data;
  if (topic.startsWith("procedure.lifecycle.") && (rest.result || rest.new_state)) return `procedure ${id} ${rest.new_state ?? rest.result.state}`;
  if (topic === "procedure.output") return `procedure ${id}: ${rest.lines.at(-1)?.text ?? ""}`;
  const who = id ? `procedure ${id}${msg_src === String(id) ? "" : ` (${msg_src})`}` : msg_src;
  if (topic === "procedure.progress") return `${who}: ${rest.progress} % ${rest.message ?? ""}`;
  return `${who}: ${rest.msg || rest.new_state || json(rest)}`;
}

// What the OET says of the stream itself is for everyone.
function sift(entry) {
  const { topic, procedure } = entry.dataset;
  const elsewhere = $("#mine").checked && !entry.classList.contains("own") && procedure !== String(state.chosen);
  entry.hidden = elsewhere || !topic.includes($("#topic").value);
}

function siftAll() {
  for (const entry of $("#events").children) sift(entry);
}

function note(name, data) {
  const list = $("#events");
  const topic = name ? WORDS[name] || name : data.topic;
  const entry = h("li", { class: name ? "own" : "", "data-topic": topic, "data-procedure": data.procedure_id },
    h("time", {}, clock(data.time ?? Date.now() / 1000)), h("b", { title: topic }, topic), h("span", { title: json(data) }, name ? data.why_not_ready ?? "" : summary(data)));
  sift(entry);
  list.prepend(entry);
  while (list.childElementCount > EVENTS) list.lastElementChild.remove();
}

function onEvent(name, data) {
  note(name, data);
  if (name) {
    if (name === "readiness") {
      state.whyNotReady = data.why_not_ready;
      showLink();
    } else if (name === "disconnected") link("away", "controller away");
    else {
      refresh();
      readOutput();
    }
  } else if (data.topic === "procedure.output") {
    if (data.procedure_id !== state.chosen) return;
    if (data.lines.length && data.lines[0].line > state.lastLine + 1) readOutput();
    else addLines(data.lines);
  } else if (/^(procedure|activity)\./.test(data.topic)) refresh();
}

listen({
  open() {
    state.listening = true;
    state.whyNotReady = null; // what is so is said first
    recall();
    refresh();
    readOutput();
  },
  event: onEvent,
  async closed(error) {
    state.listening = false;
    if (error?.status === 401) await askToken();
    link("away", error instanceof Refused ? "controller away" : "reconnecting");
  },
});

$("#new-procedure").addEventListener("click", newProcedure);
$("#new-activity").addEventListener("click", newActivity);
for (const button of document.querySelectorAll("dialog .cancel")) button.addEventListener("click", () => button.closest("dialog").close());
$("#span").addEventListener("change", recall);
$("#topic").addEventListener("input", siftAll);
$("#mine").addEventListener("change", siftAll);
new ResizeObserver(timeline).observe($("#chart"));
setInterval(timeline, 1000); // time goes on in the picture
