"""Play the scenarios that the extension covers against the interop server; any difference is a failure."""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

#: Scenario names and the profiles they are played on; what is left out needs endpoints that do not exist yet.
COVERED = {
    "additional-fields": ["additional-fields-sign-up", "additional-fields-update"],
    "base": [
        "csrf-first-login",
        "list-accounts-of-credential-user",
        "protocol-unauthenticated-calls",
        "csrf-origin-with-cookies",
        "protocol-bad-json",
        "protocol-content-types",
        "protocol-ok-and-error-pages",
        "protocol-unknown-paths",
        "protocol-wrong-methods",
        "password-change",
        "password-change-negative",
        "password-verify",
        "session-ip-and-agent",
        "session-list-and-revoke",
        "session-of-someone-else",
        "session-post-without-deferral",
        "session-row-expired-in-database",
        "session-sliding-refresh",
        "session-tampered-cookie",
        "session-update",
        "session-user-row-gone",
        "sign-in-and-out",
        "sign-in-bad-bodies",
        "sign-in-callback-url",
        "sign-in-expired-session-then-again",
        "sign-in-form-encoded",
        "sign-in-not-remembered",
        "sign-in-twice-in-one-jar",
        "sign-in-wrong-credentials",
        "sign-up-and-duplicate",
        "sign-up-callback-url",
        "sign-up-invalid-email",
        "sign-up-missing-fields",
        "sign-up-not-remembered",
        "sign-up-password-rules",
        "sign-up-unicode-and-odd-names",
        "sign-up-unknown-and-forbidden-fields",
        "sign-up-wrong-types",
        "password-reset",
        "password-reset-expired",
        "password-reset-request-negative",
        "password-reset-token-negative",
        "change-email-unverified-user",
        "user-delete",
        "user-update",
        "verify-email-bad-tokens",
        "verify-email-on-request",
        "verify-email-redirect",
        "verify-email-send-negative",
    ],
    "bearer": ["bearer-token"],
    "bearer-signed": ["bearer-signed-only"],
    "change-email-unverified": ["change-email-without-verification"],
    "confirm-changes": [
        "change-email-two-step-confirmation",
        "user-delete-confirmation-by-someone-else",
        "user-delete-confirmation-expired",
        "user-delete-with-confirmation",
    ],
    "cookie-cache": ["cookie-cache-lifecycle", "cookie-cache-tampered", "cookie-cache-not-remembered"],
    "cookie-cache-jwe": ["cookie-cache-jwt-strategy"],
    "cookie-cache-jwt": ["cookie-cache-jwt-strategy"],
    "cross-subdomain": ["cookies-cross-subdomain"],
    "csrf-off": ["csrf-check-disabled"],
    "deferred-refresh": ["session-deferred-refresh"],
    "disabled-paths": ["protocol-disabled-paths"],
    "generic-oauth": [
        "generic-oauth-errors",
        "generic-oauth-link",
        "generic-oauth-oidc-pkce",
        "generic-oauth-plain",
        "generic-oauth-sign-up-rules",
    ],
    "minimal": ["verify-email-not-configured"],
    "no-auto-sign-in": ["password-reset-revokes-sessions", "sign-up-without-auto-sign-in"],
    "no-session-refresh": ["session-refresh-disabled"],
    "origin-check-off": ["origin-check-disabled"],
    "password-off": ["password-login-disabled"],
    "rate-limit": ["rate-limit-default-window", "rate-limit-proxies", "rate-limit-sign-in", "rate-limit-custom-rules"],
    "rate-limit-database": ["rate-limit-in-database"],
    "secondary-storage": ["secondary-storage-sessions", "secondary-storage-password-reset"],
    "secondary-storage-db": ["secondary-storage-sessions", "secondary-storage-password-reset"],
    "short-session": ["session-freshness", "session-short-lived"],
    "sign-up-off": ["sign-up-disabled"],
    "social": [
        "social-authorize-urls",
        "social-callback-errors",
        "social-callback-form-post",
        "social-github-emails",
        "social-gitlab-states",
        "social-gitlab-unverified-email",
        "social-google-sign-up-then-sign-in",
        "social-id-token-sign-in",
        "social-implicit-sign-up-disabled",
        "social-link-account-of-another-user",
        "social-link-and-unlink",
        "social-sign-in-negative",
        "social-state-is-bound-to-browser",
        "social-tokens",
    ],
    "social-linking": [
        "social-sign-up-disabled-and-override",
        "social-trusted-linking",
    ],
    "social-no-linking": [
        "social-linking-off-and-state-cookie",
    ],
    "trusted-origins": ["trusted-origins-patterns"],
    "username": ["username-sign-up-and-in"],
    "verify-email-required": [
        "sign-in-unverified",
        "sign-up-needs-verification",
        "verify-email-expired",
        "verify-email-signs-in",
    ],
}


def main() -> None:
    """Play every covered profile once and judge the covered scenarios."""
    harness = Path(sys.argv[1]).resolve()
    server = Path("tests/interop/server.py").resolve()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        profiles = [f"--profile={profile}" for profile in COVERED]
        command = [sys.executable, "-B", "play.py", "--candidate-cmd", f"{shlex.quote(sys.executable)} -B {server}"]
        subprocess.run(
            [*command, *profiles, "--json", str(report)], cwd=harness, stdout=subprocess.DEVNULL, check=False
        )
        played = {(item["profile"], item["scenario"]): item for item in json.loads(report.read_text())["scenarios"]}
    failed = 0
    for profile, scenarios in COVERED.items():
        for scenario in scenarios:
            item = played[(profile, scenario)]
            print("ok  " if item["ok"] else "diff", f"{profile}/{scenario} ({item['steps']} steps)")
            failed += not item["ok"]
            for step, differences in item["differences"]:
                print(f"      {step}", *differences, sep="\n        ")
    total = sum(map(len, COVERED.values()))
    print(f"{total - failed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
