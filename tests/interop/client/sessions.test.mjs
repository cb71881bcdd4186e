// Ending sessions, and changing the password.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, password, signedIn, signedUp } from "./browser.mjs";

const DONE = { data: { status: true }, error: null };

/** Which of the browsers are signed in. */
const alive = (...browsers) =>
	Promise.all(browsers.map(async ({ client }) => (await client.getSession()).data !== null));

/** Three browsers of one user. */
async function three() {
	const first = await signedUp();
	return [first, await signedIn(first.user), await signedIn(first.user)];
}

test("revokeSession ends that session only", async () => {
	const [first, second, third] = await three();
	assert.deepEqual(await first.client.revokeSession({ token: second.data.token }), DONE);
	assert.deepEqual(await alive(first, second, third), [true, false, true]);
});

test("revokeSession leaves the sessions of others alone", async () => {
	const [mine, theirs] = [await signedUp(), await signedUp()];
	assert.deepEqual(await mine.client.revokeSession({ token: theirs.data.token }), DONE);
	assert.deepEqual(await alive(mine, theirs), [true, true]);
});

test("revokeOtherSessions ends all but the current one", async () => {
	const [first, second, third] = await three();
	assert.deepEqual(await third.client.revokeOtherSessions(), DONE);
	assert.deepEqual(await alive(first, second, third), [false, false, true]);
});

test("revokeSessions ends all of them", async () => {
	const [first, second, third] = await three();
	assert.deepEqual(await first.client.revokeSessions(), DONE);
	assert.deepEqual(await alive(first, second, third), [false, false, false]);
	assert.equal((await first.client.listSessions()).error.status, 401);
});

test("changePassword keeps the sessions unless told otherwise", async () => {
	const [first, second] = await three();
	const { data, error } = await first.client.changePassword({ currentPassword: password, newPassword: "another password" });
	assert.equal(error, null);
	assert.deepEqual([data.token, data.user.email], [null, first.user.email]);
	assert.ok(data.user.createdAt instanceof Date);
	assert.deepEqual(await alive(first, second), [true, true]);

	const old = await browser().client.signIn.email({ email: first.user.email, password });
	assert.equal(old.error.code, "INVALID_EMAIL_OR_PASSWORD");
	await signedIn({ ...first.user, password: "another password" });
});

test("changePassword with revokeOtherSessions goes on with a new session", async () => {
	const [first, second] = await three();
	const { data } = await first.client.changePassword({
		currentPassword: password,
		newPassword: "another password",
		revokeOtherSessions: true,
	});
	assert.equal(typeof data.token, "string");
	assert.notEqual(data.token, first.data.token);
	assert.deepEqual(await alive(first, second), [true, false]);
	const { data: sessions } = await first.client.listSessions();
	assert.deepEqual(sessions.map(({ token }) => token), [data.token]);
});

test("changePassword wants the current password, and a long enough new one", async () => {
	const [first, second] = await three();
	const refused = async (body) => (await first.client.changePassword({ ...body, revokeOtherSessions: true })).error;
	const wrong = await refused({ currentPassword: "wrong password", newPassword: "another password" });
	assert.deepEqual([wrong.status, wrong.code], [400, "INVALID_PASSWORD"]);
	const short = await refused({ currentPassword: password, newPassword: "short" });
	assert.deepEqual([short.status, short.code], [400, "PASSWORD_TOO_SHORT"]);
	assert.deepEqual(await alive(first, second), [true, true]);
	await signedIn(first.user);
});
