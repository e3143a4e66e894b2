// A session check with better-auth as its guides have it: node's own server, two processes, a pool of `pg` on PostgreSQL.
//
// It does: read the signed cookie, look the session and its user up (one joined query: `joins`, which its guide of
// performance asks for), answer with both. With COOKIE_CACHE=1 it also signs what it found into a second cookie and
// believes that for as long as it is fresh, without a query: a session that was ended goes on until then.
//
// Limits of requests are off, which in production would count each of them in memory; so is telemetry.
//
// `server.mjs migrate` makes the tables; `server.mjs PORT` serves.

import cluster from "node:cluster";
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import pg from "pg";

const PROCESSES = 2;
const [what] = process.argv.slice(2);
const options = {
  database: new pg.Pool({ connectionString: process.env.DATABASE_URL }),
  secret: process.env.INTERNAL_API_KEY,
  baseURL: "http://127.0.0.1",
  emailAndPassword: { enabled: true },
  session: { cookieCache: { enabled: process.env.COOKIE_CACHE === "1", maxAge: 60 * 60 } },
  advanced: { database: { joins: true } },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
};

if (what === "migrate") {
  const { runMigrations } = await getMigrations(options);
  await runMigrations();
  await options.database.end();
} else if (cluster.isPrimary) {
  for (let n = 0; n < PROCESSES; n++) cluster.fork();
  cluster.on("exit", (worker, code, signal) => console.error(`A process ended: ${signal ?? code}`));
} else {
  createServer(toNodeHandler(betterAuth(options))).listen(Number(what), "127.0.0.1");
}
