// A front end without a browser: each command is one step of a person, on a device that keeps its tokens in a file.
import { readFileSync, writeFileSync } from "node:fs";
import { createClient, isProblem, memoryStore, Problem, sharedStore, SignedOut, type Kept, type Store } from "@auth-service/client";

const [command = "", said = "{}"] = process.argv.slice(2);
const { url = "", file = "", email = "", password = "", code = "", services = [] } = JSON.parse(said);
const store: Store = {
  read: () => {
    try {
      return JSON.parse(readFileSync(file, "utf8")) as Kept;
    } catch {
      return {};
    }
  },
  write: (kept) => writeFileSync(file, JSON.stringify(kept)),
};
const auth = createClient({ url, store, services });

/** As if an hour had gone by. */
async function age(): Promise<void> {
  const { tokens, ...rest } = await store.read();
  await store.write({ ...rest, tokens: { ...tokens!, expiresAt: 0 } });
}

async function outcome(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Problem) return { code: error.code, retryAfter: error.retryAfter };
    return { name: error instanceof Error ? error.name : "" };
  }
}

/** Take the lock of renewals and keep it until it is released. Waiting for a lock does not keep Node running. */
function lockedElsewhere(): () => void {
  const awake = setInterval(() => {}, 1_000);
  let release = () => {};
  void navigator.locks?.request(`auth-service ${url}`, () => new Promise<void>((resolve) => (release = resolve)));
  return () => {
    release();
    clearInterval(awake);
  };
}

const commands: Record<string, () => Promise<unknown>> = {
  signUp: () => auth.signUp({ email, password, display_name: "Ada" }),
  confirm: () => auth.confirmAddress({ email, code }),
  signIn: () => outcome(auth.signIn({ email, password })),
  me: () => outcome(auth.account.get()),
  signOut: () => auth.signOut(),
  async secondFactor() {
    const step = await auth.signIn({ email, password });
    if (step.signedIn) return "no second factor";
    const wrong = await step.withCode("000000").catch((error) => isProblem(error, "mfa_invalid_code"));
    await step.withCode(code);
    return { methods: step.methods, wrong, email: (await auth.account.get()).email };
  },
  async race() {
    await age();
    const tabs = Array.from({ length: 5 }, () => createClient({ url, store }));
    const calls = tabs.flatMap((tab) => [tab.account.status(), tab.account.get()]);
    return (await Promise.all(calls)).map((one) => one.email);
  },
  async refused() {
    const kept = await store.read();
    await store.write({ ...kept, tokens: { ...kept.tokens!, access: `${kept.tokens!.access}x` } });
    const answers = await Promise.all([1, 2, 3].map(() => auth.fetch(`${url}/v1/auth/me`)));
    return answers.map((answer) => answer.status);
  },
  async old() {
    await age();
    return outcome(auth.account.get());
  },
  elsewhere: () => outcome(auth.fetch("https://elsewhere.example/")),
  async listening() {
    const heard: boolean[] = [];
    const other = createClient({ url, store });
    other.session.onChange((isOpen) => heard.push(isOpen));
    await auth.signOut();
    await auth.signIn({ email, password });
    while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    return heard;
  },
  async listeningBeforeItIsWritten() {
    const [heard, before] = [[] as boolean[], await store.read()];
    let written = Infinity; // when this tab sees what the other one has written
    const late: Store = { ...store, read: () => (performance.now() < written ? before : store.read()) };
    createClient({ url, store: late }).session.onChange((isOpen) => heard.push(isOpen));
    await auth.signOut();
    written = performance.now() + 100;
    while (heard.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    return heard;
  },
  async spoilt() {
    const stored = ["{", "", "undefined", "null", '"text"'];
    const store = (text: string) => {
      Object.defineProperty(globalThis, "localStorage", { value: { getItem: () => text }, configurable: true });
      return sharedStore();
    };
    const open = [];
    for (const text of stored) open.push(await outcome(createClient({ url, store: store(text) }).session.isOpen));
    return open;
  },
  async onAServerWithLocalStorage() {
    const getItem = () => JSON.stringify({ tokens: { access: "a.b.c", refresh: "somebody's", expiresAt: 9e15 } });
    Object.defineProperty(globalThis, "localStorage", { value: { getItem }, configurable: true });
    return createClient({ url }).session.isOpen;
  },
  async inAPageThatMayKeepNothing() {
    const get = () => {
      throw new DOMException("Access is denied for this document.", "SecurityError");
    };
    Object.defineProperty(globalThis, "document", { value: {} });
    Object.defineProperty(globalThis, "localStorage", { get, configurable: true });
    return outcome(createClient({ url }).signIn({ email, password }));
  },
  async inAPageWhoseStorageIsFull() {
    const stored = new Map([["auth-service", JSON.stringify({ deviceToken: "old" })]]);
    const setItem = () => {
      throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
    };
    const value = {
      getItem: (name: string) => stored.get(name) ?? null,
      setItem,
      removeItem: (name: string) => stored.delete(name),
    };
    Object.defineProperty(globalThis, "document", { value: {} });
    Object.defineProperty(globalThis, "localStorage", { value, configurable: true });
    const auth = createClient({ url });
    return [await outcome(auth.signIn({ email, password })), (await auth.account.get()).email, stored.size];
  },
  async oneOfManyOnAServer() {
    let channels = 0;
    const Channel = BroadcastChannel;
    globalThis.BroadcastChannel = class extends Channel {
      constructor(name: string) {
        super(name);
        channels += 1;
      }
    };
    const release = lockedElsewhere(); // another user's renewal
    const store = memoryStore();
    const one = createClient({ url, store });
    await one.signIn({ email, password });
    const { tokens } = await store.read();
    await store.write({ tokens: { ...tokens!, expiresAt: 0 } });
    const { email: mine } = await one.account.get();
    release();
    return { email: mine, channels };
  },
  async behindATabThatSleeps() {
    await age();
    const release = lockedElsewhere();
    const answer = await outcome(createClient({ url, store, timeout: 1_000 }).account.get());
    release();
    return answer;
  },
  nobody: () => outcome(createClient({ url, store: memoryStore() }).account.get().catch((error) => {
    if (error instanceof SignedOut) return "signed out";
    throw error;
  })),
};

console.log(JSON.stringify((await commands[command]?.()) ?? null));
