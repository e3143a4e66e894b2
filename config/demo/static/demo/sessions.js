// The signed-in devices.

import { auth } from "./api.js";
import { button, day, fill, find, onClick, row, say } from "./view.js";

export function start() {
  onClick(find("end-others"), async () => {
    await auth.devices.signOutOthers();
    await load();
    say("You are signed out everywhere else.");
  });
}

export async function load() {
  const { results } = await auth.devices.list();
  fill(find("session-list"), results.map(sessionRow), "None.");
}

function sessionRow({ id, current, last_used_at, ip, user_agent, methods }) {
  const small = `${methods.join(" + ")}, ${ip ?? "no address"}, ${day(last_used_at)}`;
  const words = `${current ? "This one: " : ""}${deviceOf(user_agent)}`;
  if (current) return row(words, small);
  return row(words, small, button("End", () => end(id), { label: `End ${words}`, place: find("sessions") }));
}

async function end(id) {
  await auth.devices.signOut(id);
  await load();
}

/** Enough to tell two devices apart; what a user agent says of itself proves nothing. */
function deviceOf(agent) {
  const known = agent.match(/(Firefox|Edg|Chrome|Safari|curl|Python-urllib)\/\d+/);
  return known ? known[0].replace("/", " ") : agent.slice(0, 40) || "unknown";
}
