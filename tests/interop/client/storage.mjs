// The TypeScript server on rows from standard input and a Redis it shares: sends the requests of REQUESTS, and prints what it
// answered, as JSON.
import net from "node:net";
import { readFileSync } from "node:fs";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";

const { hostname, port, pathname } = new URL(process.env.REDIS_URL);
const socket = net.connect(Number(port), hostname);
let received = Buffer.alloc(0);
const waiting = [];

// RESP: +text, :number, $length text, $-1 for nothing
function reply() {
  const line = received.indexOf("\r\n");
  if (line < 0) return undefined;
  const head = received.subarray(1, line).toString();
  if (String.fromCharCode(received[0]) !== "$") {
    received = received.subarray(line + 2);
    return head;
  }
  const length = Number(head);
  if (length < 0) {
    received = received.subarray(line + 2);
    return null;
  }
  if (received.length < line + 4 + length) return undefined;
  const text = received.subarray(line + 2, line + 2 + length).toString();
  received = received.subarray(line + 4 + length);
  return text;
}

socket.on("data", (data) => {
  received = Buffer.concat([received, data]);
  for (let found = reply(); found !== undefined; found = reply()) waiting.shift()(found);
});

function redis(...words) {
  const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`);
  socket.write(`*${words.length}\r\n${parts.join("")}`);
  return new Promise((resolve) => waiting.push(resolve));
}

await redis("SELECT", pathname.slice(1) || "0");
const rows = JSON.parse(readFileSync(0, "utf8"));
for (const row of Object.values(rows).flat())
  for (const name of Object.keys(row)) if (/At$/.test(name) && row[name]) row[name] = new Date(row[name]);

const auth = betterAuth({
  secret: process.env.SECRET,
  baseURL: process.env.ORIGIN,
  database: memoryAdapter(rows),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  secondaryStorage: {
    get: (key) => redis("GET", key),
    set: (key, value, ttl) => redis("SET", key, value, ...(ttl ? ["EX", ttl] : [])),
    delete: (key) => redis("DEL", key),
    getAndDelete: (key) => redis("GETDEL", key),
    increment: async (key) => Number(await redis("INCR", key)),
  },
});

const answers = [];
for (const [method, path, body] of JSON.parse(process.env.REQUESTS)) {
  const answer = await auth.handler(
    new Request(`${process.env.ORIGIN}/api/auth${path}`, {
      method,
      headers: { origin: process.env.ORIGIN, cookie: process.env.COOKIE, "content-type": "application/json" },
      body: body ? JSON.stringify(body) : undefined,
    }),
  );
  answers.push({ status: answer.status, body: await answer.json(), cookies: answer.headers.getSetCookie() });
}
console.log(JSON.stringify(answers));
socket.end();
