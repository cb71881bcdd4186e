// Links in mails: a forgotten password, an address that is verified, and one that is changed.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { person, signedIn, signedUp } from "./browser.mjs";

const NEW = "another good password";

// The newest message for an address; it is sent when the answer is there.
async function mail(to, after = 0) {
	for (;;) {
		const lines = (await readFile(process.env.OUTBOX, "utf8")).split("\n").filter(Boolean);
		const found = lines.map((line) => JSON.parse(line)).filter((message) => message.to === to);
		if (found.length > after) return new URL(found.at(-1).url);
		await setTimeout(20);
	}
}

test("a forgotten password is set anew", async () => {
	const { client, user } = await signedUp();
	const asked = await client.requestPasswordReset({ email: user.email, redirectTo: "/new-password" });
	const unknown = await client.requestPasswordReset({ email: person().email, redirectTo: "/new-password" });
	assert.deepEqual(asked, unknown);
	assert.equal(asked.data.status, true);
	const page = await fetch(await mail(user.email), { redirect: "manual" });
	const target = new URL(page.headers.get("location"));
	assert.equal(target.pathname, "/new-password");
	const token = target.searchParams.get("token");
	const short = await client.resetPassword({ newPassword: "short", token });
	assert.deepEqual([short.error.status, short.error.code], [400, "PASSWORD_TOO_SHORT"]);
	assert.deepEqual((await client.resetPassword({ newPassword: NEW, token })).data, { status: true });
	const again = await client.resetPassword({ newPassword: NEW, token });
	assert.deepEqual([again.error.status, again.error.code], [400, "INVALID_TOKEN"]);
	assert.equal((await signedIn({ ...user, password: NEW })).data.user.email, user.email);
});

test("an address is verified", async () => {
	const { client, user } = await signedUp();
	const sent = await client.sendVerificationEmail({ email: user.email, callbackURL: "/welcome" });
	assert.deepEqual(sent.data, { status: true });
	const link = await mail(user.email);
	assert.equal(link.searchParams.get("callbackURL"), "/welcome");
	const token = link.searchParams.get("token");
	assert.deepEqual((await client.verifyEmail({ query: { token } })).data, { status: true, user: null });
	assert.equal((await client.getSession()).data.user.emailVerified, true);
	const forged = await client.verifyEmail({ query: { token: `${token}x` } });
	assert.deepEqual([forged.error.status, forged.error.code], [401, "INVALID_TOKEN"]);
});

test("an address is changed", async () => {
	const { client, user } = await signedUp();
	const newEmail = person().email;
	assert.deepEqual((await client.changeEmail({ newEmail, callbackURL: "/" })).data, { status: true });
	const token = (await mail(newEmail)).searchParams.get("token");
	assert.equal((await client.getSession()).data.user.email, user.email);
	const { data } = await client.verifyEmail({ query: { token } });
	assert.equal(data.user.email, newEmail);
	assert.ok(data.user.updatedAt instanceof Date);
	assert.equal((await client.getSession()).data.user.email, newEmail);
});
