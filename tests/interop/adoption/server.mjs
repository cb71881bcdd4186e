// The TypeScript server on one database after another, driven by lines of JSON: a command in, what came of it out.
import { createInterface } from "node:readline";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { admin, genericOAuth, organization, twoFactor, username } from "better-auth/plugins";
import { SqliteDialect } from "kysely";
import mysql from "mysql2/promise";
import sqlite from "node-sqlite3-wasm";
import pg from "pg";

const ORIGIN = "http://localhost";
const optional = (type, more) => ({ type, required: false, ...more });
/** What the schema is made of, beside the core. */
const SHAPES = {
	core: {},
	plugins: { plugins: [admin(), organization(), twoFactor(), username()], rateLimit: { enabled: true, storage: "database" } },
	fields: {
		user: {
			additionalFields: {
				nickname: optional("string"),
				handle: optional("string", { unique: true }),
				shoeSize: optional("number"),
				balance: optional("number", { bigint: true }),
				vip: optional("boolean"),
				bornAt: optional("date"),
				settings: optional("json"),
				tags: optional("string[]"),
				luckyNumbers: optional("number[]"),
				plan: optional(["free", "paid"]),
			},
		},
	},
};

/** A provider by the address of its discovery document. */
const acme = (discoveryUrl) => ({
	providerId: "acme",
	clientId: "acme-client",
	clientSecret: "acme-secret",
	discoveryUrl,
	scopes: ["openid", "email", "profile", "offline_access"],
	pkce: true,
});

/** A driver that comes without a compiler, in the shape of better-sqlite3, which the library's documentation names. */
function file(path) {
	const db = new sqlite.Database(path);
	const prepare = (sql) => ({
		reader: /^\s*(select|with|pragma)\b|\breturning\b/i.test(sql),
		all: (values) => db.all(sql, values),
		run: (values) => db.run(sql, values),
	});
	const close = () => db.close();
	return [{ dialect: new SqliteDialect({ database: { prepare, close } }), type: "sqlite" }, close];
}

/** What the library takes for a database, and how it is closed. */
function connect(url) {
	if (!/^(postgres|mysql)/.test(url)) return file(url);
	const pool = url.startsWith("mysql")
		? mysql.createPool({ uri: url, timezone: "Z" })
		: new pg.Pool({ connectionString: url });
	return [pool, () => pool.end()];
}

let auth, close, mails;

const commands = {
	async open({ url, shape, secret, provider }) {
		mails = [];
		const [database, end] = connect(url);
		close = end;
		const send = async ({ url, token, user }) => void mails.push({ to: user.email, url, token });
		const options = {
			database,
			secret,
			baseURL: ORIGIN,
			logger: { disabled: true },
			rateLimit: { enabled: false },
			emailAndPassword: { enabled: true, sendResetPassword: send },
			emailVerification: { sendVerificationEmail: send },
			...SHAPES[shape],
			...(provider && {
				plugins: [genericOAuth({ config: [acme(provider.discovery)] })],
				account: { encryptOAuthTokens: true, storeStateStrategy: provider.strategy },
			}),
		};
		const { runMigrations, toBeAdded, toBeCreated } = await getMigrations(options);
		await runMigrations();
		auth = betterAuth(options);
		return { added: toBeAdded.length, created: toBeCreated.map(({ table }) => table) };
	},
	async request({ method, path, body, cookie, address }) {
		const headers = new Headers({ origin: ORIGIN, cookie, "x-forwarded-for": address });
		if (body) headers.set("content-type", "application/json");
		const init = { method, headers, body: body && JSON.stringify(body) };
		const answer = await auth.handler(new Request(`${ORIGIN}/api/auth${path}`, init));
		const text = await answer.text();
		const location = answer.headers.get("location");
		return { status: answer.status, location, body: text && JSON.parse(text), cookies: answer.headers.getSetCookie() };
	},
	async session({ token }) {
		const { session } = await (await auth.$context).internalAdapter.findSession(token);
		return { expires: session.expiresAt.getTime(), created: session.createdAt.getTime() };
	},
	async expire({ token }) {
		const expiresAt = new Date(Date.now() - 1000);
		await (await auth.$context).internalAdapter.updateSession(token, { expiresAt });
	},
	mails: () => mails.splice(0),
	close: () => close(),
};

for await (const line of createInterface({ input: process.stdin })) {
	const { command, ...given } = JSON.parse(line);
	console.log(JSON.stringify((await commands[command](given)) ?? null));
}
