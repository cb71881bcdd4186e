// The bearer plugin: no cookie leaves the client, the token of `set-auth-token` does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, person } from "./browser.mjs";

/** A client as a mobile application sets it up. */
function mobile() {
	let token = null;
	const made = browser({
		fetchOptions: {
			credentials: "omit",
			auth: { type: "Bearer", token: () => token ?? undefined },
			onSuccess: ({ response }) => {
				token = response.headers.get("set-auth-token") ?? token;
			},
		},
	});
	return { ...made, token: () => token, forget: () => void (token = null) };
}

test("the token signs in where no cookie is sent", async () => {
	const user = person();
	const { client, token, forget } = mobile();
	assert.deepEqual(await client.getSession(), { data: null, error: null });
	const { data } = await client.signUp.email(user);
	assert.equal(token()?.split(".")[0], data.token);
	assert.equal((await client.getSession()).data.user.email, user.email);
	assert.deepEqual((await client.updateUser({ name: "Ada" })).data, { status: true });
	assert.equal((await client.listSessions()).data.length, 1);
	forget();
	assert.deepEqual(await client.getSession(), { data: null, error: null });
});

test("a token of a call goes with that call", async () => {
	const { client, token } = mobile();
	await client.signUp.email(person());
	const other = browser().client;
	const call = { fetchOptions: { auth: { type: "Bearer", token: token() } } };
	assert.ok((await other.getSession(call)).data);
	assert.deepEqual((await other.getSession()).data, null);
});

test("signOut ends the session of the token", async () => {
	const { client } = mobile();
	await client.signUp.email(person());
	assert.deepEqual((await client.signOut()).data, { success: true });
	assert.deepEqual(await client.getSession(), { data: null, error: null });
});

test("a token nobody issued is nobody's", async () => {
	const { client, token } = mobile();
	await client.signUp.email(person());
	const forged = token().replace(/^./, (first) => (first === "a" ? "b" : "a"));
	const call = { fetchOptions: { auth: { type: "Bearer", token: forged } } };
	assert.deepEqual((await browser().client.getSession(call)).data, null);
});
