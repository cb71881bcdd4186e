// The client plugin `usernameClient`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { usernameClient } from "better-auth/client/plugins";
import { browser, password, signedUp } from "./browser.mjs";

const withNames = { plugins: [usernameClient()] };

let names = 0;
const fresh = () => `Ada_${process.pid}_${Date.now() % 1e6}_${++names}`;

test("sign-up takes a username, folded for the look-up and kept for display", async () => {
	const username = fresh();
	const { client, data } = await signedUp(withNames, { username });
	assert.equal(data.user.username, username.toLowerCase());
	assert.equal(data.user.displayUsername, username);
	const { user } = (await client.getSession()).data;
	assert.deepEqual([user.username, user.displayUsername], [username.toLowerCase(), username]);
});

test("sign-in by username, in any case", async () => {
	const username = fresh();
	const { data: created } = await signedUp(withNames, { username });
	const { client } = browser(withNames);
	const { data, error } = await client.signIn.username({ username: username.toUpperCase(), password });
	assert.equal(error, null);
	assert.equal(typeof data.token, "string");
	assert.equal(data.user.id, created.user.id);
	assert.equal((await client.getSession()).data.session.token, data.token);
});

test("sign-in by username with a wrong password, or as nobody", async () => {
	const username = fresh();
	await signedUp(withNames, { username });
	for (const body of [{ username, password: "wrong password" }, { username: fresh(), password }]) {
		const { client, jar } = browser(withNames);
		const { error } = await client.signIn.username(body);
		assert.deepEqual([error.status, error.code], [401, "INVALID_USERNAME_OR_PASSWORD"]);
		assert.equal(error.message, "Invalid username or password");
		assert.equal(jar.size, 0);
	}
});

test("isUsernameAvailable", async () => {
	const username = fresh();
	const { client } = browser(withNames);
	assert.deepEqual(await client.isUsernameAvailable({ username }), { data: { available: true }, error: null });
	await signedUp(withNames, { username });
	assert.deepEqual((await client.isUsernameAvailable({ username: username.toLowerCase() })).data, { available: false });
	const { error } = await client.isUsernameAvailable({ username: "a" });
	assert.deepEqual([error.status, error.code], [422, "USERNAME_TOO_SHORT"]);
});

test("a username that is taken", async () => {
	const username = fresh();
	await signedUp(withNames, { username });
	await assert.rejects(signedUp(withNames, { username }), /USERNAME_IS_ALREADY_TAKEN/);
	const { client } = await signedUp(withNames, { username: fresh() });
	const { error } = await client.updateUser({ username });
	assert.equal(error.code, "USERNAME_IS_ALREADY_TAKEN");
});
