// What a browser adds to the official client: a cookie jar and the page's origin. AUTH_URL names the server.
import { createAuthClient } from "better-auth/client";

export const origin = process.env.AUTH_URL;
export const password = "correct horse battery";

let people = 0;
/** Somebody nobody has seen before, so that tests need no empty database. */
export function person() {
	const name = `user-${process.pid}-${Date.now()}-${++people}`;
	return { name, email: `${name}@example.com`, password };
}

/** A browser with no cookies: its `client`, its `jar`, the `calls` it has made, and `send`, which makes one. */
export function browser(options = {}) {
	const jar = new Map();
	const calls = [];
	async function send(url, init) {
		const headers = new Headers(init.headers);
		headers.set("origin", origin);
		if (jar.size && init.credentials !== "omit")
			headers.set("cookie", [...jar.values()].map(({ name, value }) => `${name}=${value}`).join("; "));
		const answer = await fetch(url, { ...init, headers });
		const cookies = answer.headers.getSetCookie().map(cookie);
		for (const one of cookies) {
			if (one.attributes["max-age"] === "0") jar.delete(one.name);
			else jar.set(one.name, one);
		}
		calls.push({ method: init.method, path: new URL(url).pathname, status: answer.status, cookies });
		return answer;
	}
	const { fetchOptions, ...more } = options;
	const client = createAuthClient({
		baseURL: origin,
		...more,
		fetchOptions: { customFetchImpl: send, ...fetchOptions },
	});
	return { client, jar, calls, send };
}

/** A browser whose user has just signed up. */
export async function signedUp(options, extra) {
	const user = person();
	const made = browser(options);
	const { data, error } = await made.client.signUp.email({ ...user, ...extra });
	if (error) throw new Error(`sign-up: ${JSON.stringify(error)}`);
	return { ...made, user, data };
}

/** Another browser, signed in as the same user. */
export async function signedIn(user, options) {
	const made = browser(options);
	const { data, error } = await made.client.signIn.email({ email: user.email, password: user.password });
	if (error) throw new Error(`sign-in: ${JSON.stringify(error)}`);
	return { ...made, user, data };
}

function cookie(line) {
	const [pair, ...rest] = line.split("; ");
	const [name, value] = halves(pair);
	const attributes = {};
	for (const [key, content] of rest.map(halves)) attributes[key.toLowerCase()] = content;
	return { name, value, attributes };
}

function halves(text) {
	const at = text.indexOf("=");
	return at < 0 ? [text, true] : [text.slice(0, at), text.slice(at + 1)];
}
