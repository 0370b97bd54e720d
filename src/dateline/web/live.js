// What happens on the server, live: connects, connects again when the connection ends, and goes on behind what was heard last.
//
//   import { follow } from "/live/live.js";
//   const end = follow({ subjects: ["patient:42"] }, (notice) => console.log(notice.type, notice));
//
// Options: subjects and kinds (lists), after (a cursor, "now", or null for everything), url, state (told "open", "closed", "denied" or
// "restored"), wait (milliseconds before the first try to connect again; it doubles, up to half a minute, and is cut by chance).

const LONGEST = 30_000;

export function follow(options, heard) {
  const { subjects = [], kinds = [], url = here(), wait = 500, state = () => {} } = options;
  let after = options.after === undefined ? "now" : options.after;
  let tries = 0;
  let timer = null;
  let socket = null;
  let over = false;

  function connect() {
    socket = new WebSocket(url);
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "subscribe", id: "1", subjects, kinds, after }));
    };
    socket.onmessage = (message) => {
      const told = JSON.parse(message.data);
      if (told.type === "subscribed") {
        tries = 0;
        // From here on nothing is missed, also where nothing was heard before the connection ends.
        after = told.cursor;
        state("open");
      } else if (told.type === "event" || told.type === "change") {
        after = told.cursor;
        heard(told);
      } else if (told.type === "other-incarnation") {
        // The server was restored from a backup: what was heard may never have happened.
        after = "now";
        state("restored");
        socket.close();
      } else if (told.type === "denied" || told.type === "malformed" || told.type === "revoked") {
        over = true;
        state("denied", told.detail);
        socket.close();
      }
    };
    socket.onclose = () => {
      if (over) {
        return;
      }
      state("closed");
      timer = setTimeout(connect, Math.min(wait * 2 ** tries, LONGEST) * (0.5 + Math.random() / 2));
      tries += 1;
    };
  }

  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    socket.close();
  };
}

function here() {
  const found = new URL("/live", location.href);
  found.protocol = found.protocol === "https:" ? "wss:" : "ws:";
  return found.href;
}
