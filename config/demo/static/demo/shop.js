// A shop on credits. Prices, checkout and balance come from /demo/api: a back end that holds the API key, which must
// never reach a browser. It receives the access token and asks the service whose it is.

import { shop } from "./api.js";
import { button, clearProblem, day, fill, find, make, money, onClick, row, say, show, showProblem } from "./view.js";

let subscription = null;

export function start() {
  onClick(find("paint"), paint);
  onClick(find("subscription-cancel"), () => changeSubscription("cancel"));
  onClick(find("subscription-resume"), () => changeSubscription("resume"));
  onClick(find("portal"), () => leaveFor("portal", {}));
}

export async function load() {
  const place = find("shop");
  try {
    const [plans, standing, history] = await Promise.all([
      shop("GET", "plans", { anonymous: true }),
      shop("GET", "standing"),
      shop("GET", "history"),
    ]);
    clearProblem(place);
    fill(find("plans"), plans.results.map(planRow), "Nothing is for sale: start script/server --with-stripe.");
    fill(find("history"), history.results.map(entryRow), "Nothing yet.");
    showStanding(standing);
  } catch (problem) {
    clearProblem(place);
    showProblem(place, problem); // the rest of the page works without a shop
  }
}

function showStanding({ credits, subscription: current, account_status }) {
  find("balance").textContent = credits.available;
  subscription = current;
  const is = current && !["canceled", "incomplete_expired"].includes(current.status);
  find("subscription").textContent = is ? wordsOf(current) : "None.";
  show(find("subscription-cancel"), Boolean(is) && !current.cancel_at_period_end);
  show(find("subscription-resume"), Boolean(is) && current.cancel_at_period_end);
  show(find("portal"), account_status !== "none" || credits.balance > 0);
}

function wordsOf({ plan, status, cancel_at_period_end: ends, cancel_at, current_period_end, next_plan, pending_plan }) {
  const until = cancel_at ?? current_period_end;
  const next = next_plan ? ` as ${next_plan}` : "";
  if (["past_due", "unpaid"].includes(status)) return `${plan}, ${status}: its last payment failed.${next}`;
  const waits = pending_plan ? ` ${pending_plan} waits for you to confirm its payment.` : "";
  return `${plan}, ${status}, ${ends ? "ends" : "renews"} ${until ? day(until) : "later"}${next}.${waits}`;
}

function planRow({ code, name, kind, credits, amount, currency, interval, trial_days }) {
  const price = money(amount, currency) + (interval ? ` a ${interval}` : "");
  const trial = trial_days ? `, ${trial_days} days of trial` : "";
  const words = kind === "pack" ? "Buy" : "Subscribe";
  const order = () => leaveFor("checkout", { plan: code });
  const buy = button(words, order, { label: `${words}: ${name}`, place: find("shop") });
  return row(name, `${credits} credits, ${price}${trial}`, buy);
}

/** One key for one decision: it is sent again after a refresh, and that buys nothing twice. */
async function leaveFor(path, body) {
  const key = crypto.randomUUID();
  location.assign((await shop("POST", path, { body, key })).url);
}

/** Back from Stripe. Looking the checkout up settles it, so the credits are there whether or not the webhook was first. */
export async function backFromCheckout(id) {
  if (id === "cancelled") return say("Nothing was bought.");
  const { status, credited } = await shop("GET", `checkout/${encodeURIComponent(id)}`);
  if (credited) say("Thank you. Your credits are there.");
  else if (status === "complete") say("Thank you. Your credits arrive once the payment does.");
  else say("This checkout was not paid.");
}

async function paint() {
  const { balance_after: left } = await shop("POST", "pictures", { body: {}, key: crypto.randomUUID() });
  await load();
  say(`Painted. ${left} credits left.`);
}

async function changeSubscription(how) {
  await shop("POST", `subscriptions/${subscription.id}/${how}`, { body: {} });
  await load();
}

function entryRow({ type, amount, balance_after, description, created_at }) {
  const signed = amount > 0 ? `+${amount}` : `${amount}`;
  const sum = make("strong", {}, signed);
  return row(`${type}${description ? `: ${description}` : ""}`, `${day(created_at)}, then ${balance_after}`, sum);
}
