// Apps of three frameworks, each protected in one line; prints the ports they listen at.
import { serve } from "@hono/node-server";
import { createServiceClient } from "@auth-service/client/service";
import { signedIn as forExpress } from "@auth-service/client/express";
import { signedIn as forHono, type SignedIn } from "@auth-service/client/hono";
import { signedIn as forNext } from "@auth-service/client/next";
import express from "express";
import type { AddressInfo } from "node:net";
import { Hono } from "hono";

const { url = "", key = "" } = JSON.parse(process.argv[2] ?? "{}");
const auth = createServiceClient({ url, apiKey: key, patience: 500 });

const inExpress = express();
inExpress.use(forExpress(auth));
inExpress.get("/report", (request, response) => {
  response.json({ user: (request as typeof request & { identity: { userId: string } }).identity.userId });
});

const inHono = new Hono<{ Variables: SignedIn }>();
inHono.use("/report", forHono(auth));
inHono.get("/report", (context) => context.json({ user: context.get("identity").userId }));

const GET = forNext(auth, (_request, identity) => Response.json({ user: identity.userId }));
inHono.get("/next", (context) => GET(context.req.raw));

const first = inExpress.listen(0, "127.0.0.1", () => {
  const second = serve({ fetch: inHono.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => {
    console.log(JSON.stringify({ express: (first.address() as AddressInfo).port, hono: port }));
  });
  process.on("SIGTERM", () => [first, second].forEach((server) => server.close()));
});
