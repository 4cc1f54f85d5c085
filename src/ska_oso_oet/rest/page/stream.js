// Talks to the API: requests, and the stream of events with reconnection.
// The stream is read with fetch, since EventSource can show no token and gives up at the first 503.

export const api = document.querySelector('meta[name="oet-api"]').content;
const QUIET = 40_000; // the server sends something at least every 15 s
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;

const headers = (more = {}) => {
  const token = sessionStorage.getItem("oet-token");
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
};

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function request(method, path, body) {
  const options = { method, headers: headers(body ? { "Content-Type": "application/json" } : {}) };
  if (body) options.body = JSON.stringify(body);
  const response = await fetch(api + path, options);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer.Message || response.statusText);
  return answer;
}

// Calls on.open() when connected, on.event(name, data) for each event, on.closed(error) before each pause.
export function listen(on) {
  let last = null;
  let pause = FIRST_PAUSE;
  const parse = (block) => {
    let name = "";
    let id = null;
    const data = [];
    for (const line of block.split("\n")) {
      if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      else if (line.startsWith("event:")) name = line.slice(6).trim();
      else if (line.startsWith("id:")) id = line.slice(3).trim();
    }
    if (id !== null) last = id;
    if (data.length) on.event(name, JSON.parse(data.join("\n")));
  };
  const once = async () => {
    const stop = new AbortController();
    let timer = setTimeout(() => stop.abort(), QUIET);
    const response = await fetch(`${api}/stream`, {
      headers: headers(last ? { "Last-Event-ID": last } : {}), signal: stop.signal, cache: "no-store",
    });
    if (!response.ok) {
      clearTimeout(timer);
      const answer = await response.json().catch(() => ({}));
      throw new Refused(response.status, answer.Message || response.statusText);
    }
    pause = FIRST_PAUSE;
    on.open();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), QUIET);
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      blocks.forEach(parse);
    }
    clearTimeout(timer);
  };
  const forever = async () => {
    for (;;) {
      let trouble = null;
      try {
        await once();
      } catch (error) {
        trouble = error;
        if (error.status === 400) last = null; // an id that this server does not know how to read
      }
      await on.closed(trouble);
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  };
  forever();
}
