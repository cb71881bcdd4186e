// Signing up, in and out, the session, and what goes over the wire.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, password, person, signedIn, signedUp } from "./browser.mjs";

const TOKEN = "better-auth.session_token";
const FORGOTTEN = "better-auth.dont_remember";
const WEEK = 7 * 24 * 60 * 60;

function lasts({ createdAt, expiresAt }, seconds) {
	assert.ok(createdAt instanceof Date && expiresAt instanceof Date);
	assert.equal(Math.round((expiresAt - createdAt) / 1000), seconds);
}

test("sign-up opens a session and returns the user with dates", async () => {
	const { client, data, user } = await signedUp();
	assert.equal(typeof data.token, "string");
	const { id, createdAt, updatedAt, ...rest } = data.user;
	assert.equal(typeof id, "string");
	assert.ok(createdAt instanceof Date && updatedAt instanceof Date);
	assert.deepEqual(rest, { name: user.name, email: user.email, emailVerified: false, image: null });

	const { data: current, error } = await client.getSession();
	assert.equal(error, null);
	assert.deepEqual(current.user, data.user);
	assert.equal(current.session.token, data.token);
	assert.equal(current.session.userId, id);
	lasts(current.session, WEEK);
});

test("a second sign-up with the same address is refused", async () => {
	const { user } = await signedUp();
	const { data, error } = await browser().client.signUp.email(user);
	assert.equal(data, null);
	assert.deepEqual(error, {
		code: "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL",
		message: "User already exists. Use another email.",
		status: 422,
		statusText: error.statusText,
	});
});

test("sign-in with the right password", async () => {
	const { user, data: created } = await signedUp();
	const { client, data } = await signedIn(user);
	assert.deepEqual(data, { redirect: false, token: data.token, user: created.user });
	assert.notEqual(data.token, created.token);
	assert.equal((await client.getSession()).data.session.token, data.token);
});

test("sign-in with a wrong password", async () => {
	const { user } = await signedUp();
	for (const body of [{ ...user, password: "wrong password" }, person()]) {
		const { client, jar } = browser();
		const { data, error } = await client.signIn.email({ email: body.email, password: body.password });
		assert.equal(data, null);
		assert.equal(error.code, "INVALID_EMAIL_OR_PASSWORD");
		assert.equal(error.message, "Invalid email or password");
		assert.equal(error.status, 401);
		assert.equal(jar.size, 0);
	}
});

test("a body the server refuses", async () => {
	const { error } = await browser().client.signIn.email({ email: "no address", password });
	assert.deepEqual([error.status, error.code], [400, "INVALID_EMAIL"]);
	const missing = await browser().client.signIn.email({ email: "ada@example.com" });
	assert.deepEqual([missing.error.status, missing.error.code], [400, "VALIDATION_ERROR"]);
});

test("a redirect after sign-in is the client's to follow", async () => {
	const { user } = await signedUp();
	const { data } = await browser().client.signIn.email({ ...user, callbackURL: "/dashboard" });
	assert.deepEqual([data.redirect, data.url], [true, "/dashboard"]);
});

test("nobody is signed in", async () => {
	const { client } = browser();
	assert.deepEqual(await client.getSession(), { data: null, error: null });
	const { error } = await client.listSessions();
	assert.deepEqual([error.status, error.code], [401, "UNAUTHORIZED"]);
});

test("the session cookie lasts a week and is no script's to read", async () => {
	const { jar } = await signedUp();
	assert.deepEqual([...jar.keys()], [TOKEN]);
	assert.deepEqual(jar.get(TOKEN).attributes, { "max-age": String(WEEK), path: "/", httponly: true, samesite: "Lax" });
});

test("rememberMe: false ends with the browser", async () => {
	const { user } = await signedUp();
	const { client, jar } = browser();
	const { data } = await client.signIn.email({ email: user.email, password, rememberMe: false });
	assert.ok(data.token);
	assert.deepEqual([...jar.keys()].sort(), [FORGOTTEN, TOKEN]);
	for (const { attributes } of jar.values())
		assert.deepEqual(attributes, { path: "/", httponly: true, samesite: "Lax" });
	lasts((await client.getSession()).data.session, WEEK / 7);
});

test("updateUser changes what getSession says", async () => {
	const { client, data } = await signedUp();
	assert.deepEqual(await client.updateUser({ name: "Ada Lovelace", image: "https://example.com/a.png" }), {
		data: { status: true },
		error: null,
	});
	const { user } = (await client.getSession()).data;
	assert.deepEqual([user.id, user.name, user.image], [data.user.id, "Ada Lovelace", "https://example.com/a.png"]);
	const { error } = await client.updateUser({ email: "other@example.com" });
	assert.deepEqual([error.status, error.code], [400, "EMAIL_CAN_NOT_BE_UPDATED"]);
});

test("updateUser without a field goes out as GET, which is no route", async () => {
	const { client, calls } = await signedUp();
	const { error } = await client.updateUser({});
	assert.equal(error.status, 404);
	assert.deepEqual([calls.at(-1).method, calls.at(-1).path], ["GET", "/api/auth/update-user"]);
});

test("listSessions knows every browser", async () => {
	const { user, client, data } = await signedUp();
	const other = await signedIn(user);
	const { data: sessions } = await client.listSessions();
	assert.deepEqual(sessions.map(({ token }) => token).sort(), [data.token, other.data.token].sort());
	for (const session of sessions) lasts(session, WEEK);
});

test("signOut ends the session and clears the cookies", async () => {
	const { client, jar, calls, user } = await signedUp();
	const kept = new Map(jar);
	assert.deepEqual(await client.signOut(), { data: { success: true }, error: null });
	assert.equal(jar.size, 0);
	assert.ok(calls.at(-1).cookies.some(({ name, attributes }) => name === TOKEN && attributes.path === "/"));
	assert.deepEqual(await client.getSession(), { data: null, error: null });

	const thief = browser();
	for (const [name, cookie] of kept) thief.jar.set(name, cookie);
	assert.deepEqual(await thief.client.getSession(), { data: null, error: null });
	assert.ok((await signedIn(user)).data.token);
});

test("a cookie nobody signed is nobody's", async () => {
	const { client, jar } = await signedUp();
	const { value } = jar.get(TOKEN);
	jar.get(TOKEN).value = value.replace(/^./, (first) => (first === "a" ? "b" : "a"));
	assert.deepEqual(await client.getSession(), { data: null, error: null });
	jar.get(TOKEN).value = value;
	assert.ok((await client.getSession()).data);
});

test("callbacks see the error, and throw: true throws it", async () => {
	const seen = [];
	const { client } = browser({ fetchOptions: { onError: ({ error }) => seen.push(["client", error.code]) } });
	const nobody = { email: person().email, password };
	await client.signIn.email(nobody, {
		onRequest: () => seen.push(["request"]),
		onSuccess: () => seen.push(["success"]),
		onError: ({ error, response }) => seen.push(["call", error.code, error.status, response.status]),
	});
	assert.deepEqual(seen.sort(), [
		["call", "INVALID_EMAIL_OR_PASSWORD", 401, 401],
		["client", "INVALID_EMAIL_OR_PASSWORD"],
		["request"],
	]);
	await assert.rejects(
		client.signIn.email(nobody, { throw: true }),
		(error) => error.status === 401 && error.error.code === "INVALID_EMAIL_OR_PASSWORD",
	);
});

test("$fetch reaches any path below the base", async () => {
	const { client } = await signedUp();
	assert.deepEqual(await client.$fetch("/ok"), { data: { ok: true }, error: null });
	const { data, error } = await client.$fetch("/no-such-path");
	assert.equal(data, null);
	assert.equal(error.status, 404);
	assert.equal((await client.noSuchThing.atAll()).error.status, 404);
});
