"""The catalogue: what each provider's endpoints, scopes and profiles are like."""
# ruff: noqa: S106 - addresses of token endpoints

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..oauth.provider import is_true
from .apple import AppleOptions, AppleProvider
from .base import Ask, IdTokens, Row
from .discord import DiscordOptions, DiscordProvider
from .facebook import FacebookOptions, FacebookProvider
from .github import GitHubProvider
from .google import GoogleOptions, GoogleProvider
from .line import LineProvider
from .microsoft import MicrosoftOptions, MicrosoftProvider, vouched
from .options import (
    BASIC,
    ClientAuthOptions,
    CognitoOptions,
    DropboxOptions,
    GitLabOptions,
    PaybinOptions,
    RedditOptions,
    SalesforceOptions,
    TikTokOptions,
    TwitchOptions,
    ZoomOptions,
)
from .paypal import PayPalOptions, PayPalProvider
from .places import Claims
from .twitter import TwitterProvider
from .vk import VKOptions, VKProvider
from .wechat import WeChatOptions, WeChatProvider

_HOUR = timedelta(hours=1)
_AGENT = {"User-Agent": "better-auth"}  # GitHub and Reddit answer nobody who has no name

Apple = Row(
    id="apple",
    name="Apple",
    authorize="https://appleid.apple.com/auth/authorize",
    token="https://appleid.apple.com/auth/token",
    scopes=("email", "name"),
    fixed={"response_type": "code id_token", "response_mode": "form_post"},
    confidential=True,
    claims=Claims(id=("sub",), image=()),
    id_tokens=IdTokens(
        "https://appleid.apple.com/auth/keys", ("https://appleid.apple.com",), max_age=_HOUR, hashed_nonce=True
    ),
    options=AppleOptions,
    cls=AppleProvider,
)

Atlassian = Row(
    id="atlassian",
    name="Atlassian",
    authorize="https://auth.atlassian.com/authorize",
    token="https://auth.atlassian.com/oauth/token",
    scopes=("read:jira-user", "offline_access"),
    fixed={"audience": "api.atlassian.com"},
    confidential=True,
    profile=Ask("https://api.atlassian.com/me"),
    claims=Claims(id=("account_id",), email_verified=()),
)

Cloudflare = Row(
    id="cloudflare",
    name="Cloudflare",
    authorize="https://dash.cloudflare.com/oauth2/auth",
    token="https://dash.cloudflare.com/oauth2/token",
    scopes=("user-details.read",),
    auth=BASIC,
    profile=Ask("https://api.cloudflare.com/client/v4/user", inside="result", expects={"success": True}),
    claims=Claims(name=("first_name last_name", "email"), image=(), email_verified=()),
    options=ClientAuthOptions,
)

Cognito = Row(
    id="cognito",
    name="Cognito",
    authorize="{origin}/oauth2/authorize",
    token="{origin}/oauth2/token",
    scopes=("openid", "profile", "email"),
    params={"identity_provider": "{identity_provider}"},
    profile=Ask("{origin}/oauth2/userinfo"),
    by_id_token=True,
    claims=Claims(id=("sub",), name=("name", "given_name", "username")),
    id_tokens=IdTokens(
        "https://cognito-idp.{region}.amazonaws.com/{user_pool_id}/.well-known/jwks.json",
        ("https://cognito-idp.{region}.amazonaws.com/{user_pool_id}",),
        max_age=_HOUR,
    ),
    options=CognitoOptions,
    needs=("client_id", "domain", "region", "user_pool_id"),
)

Discord = Row(
    id="discord",
    name="Discord",
    authorize="https://discord.com/api/oauth2/authorize",
    token="https://discord.com/api/oauth2/token",
    scopes=("identify", "email"),
    params={"prompt": "none"},
    pkce=False,
    profile=Ask("https://discord.com/api/users/@me"),
    claims=Claims(name=("global_name", "username"), image=("image_url",), email_verified=("verified",)),
    options=DiscordOptions,
    cls=DiscordProvider,
)

Dropbox = Row(
    id="dropbox",
    name="Dropbox",
    authorize="https://www.dropbox.com/oauth2/authorize",
    token="https://api.dropboxapi.com/oauth2/token",
    scopes=("account_info.read",),
    params={"token_access_type": "{access_type}"},
    profile=Ask("https://api.dropboxapi.com/2/users/get_current_account", "POST"),
    claims=Claims(id=("account_id",), name=("name.display_name",), image=("profile_photo_url",)),
    options=DropboxOptions,
)

Facebook = Row(
    id="facebook",
    name="Facebook",
    authorize="https://www.facebook.com/v24.0/dialog/oauth",
    token="https://graph.facebook.com/v24.0/oauth/access_token",
    scopes=("email", "public_profile"),
    params={"config_id": "{config_id}"},
    pkce=False,
    login_hint=True,
    confidential=True,
    profile=Ask("https://graph.facebook.com/me?fields={all_fields}"),
    claims=Claims(id=("sub", "id"), image=("picture.data.url", "picture")),
    id_tokens=IdTokens("https://limited.facebook.com/.well-known/oauth/openid/jwks/", ("https://www.facebook.com",)),
    options=FacebookOptions,
    cls=FacebookProvider,
)

Figma = Row(
    id="figma",
    name="Figma",
    authorize="https://www.figma.com/oauth",
    token="https://api.figma.com/v1/oauth/token",
    scopes=("current_user:read",),
    auth=BASIC,
    confidential=True,
    profile=Ask("https://api.figma.com/v1/me"),
    claims=Claims(name=("handle",), image=("img_url",), email_verified=()),
)

GitHub = Row(
    id="github",
    name="GitHub",
    authorize="https://github.com/login/oauth/authorize",
    token="https://github.com/login/oauth/access_token",
    scopes=("read:user", "user:email"),
    login_hint=True,
    profile=Ask("https://api.github.com/user", headers=_AGENT),
    claims=Claims(name=("name", "login"), image=("avatar_url",), email_verified=()),
    cls=GitHubProvider,
)

GitLab = Row(
    id="gitlab",
    name="Gitlab",
    authorize="{issuer}/oauth/authorize",
    token="{issuer}/oauth/token",
    scopes=("read_user",),
    login_hint=True,
    profile=Ask("{issuer}/api/v4/user", expects={"state": "active"}, refuses=("locked",)),
    claims=Claims(name=("name", "username"), image=("avatar_url",)),
    options=GitLabOptions,
)

Google = Row(
    id="google",
    name="Google",
    authorize="https://accounts.google.com/o/oauth2/v2/auth",
    token="https://oauth2.googleapis.com/token",
    scopes=("email", "profile", "openid"),
    params={
        "access_type": "{access_type}",
        "display": "{display}",
        "hd": "{hd}",
        "include_granted_scopes": "{include_granted_scopes}",
    },
    login_hint=True,
    confidential=True,
    claims=Claims(id=("sub",)),
    id_tokens=IdTokens(
        "https://www.googleapis.com/oauth2/v3/certs",
        ("https://accounts.google.com", "accounts.google.com"),
        max_age=_HOUR,
    ),
    options=GoogleOptions,
    cls=GoogleProvider,
)

HuggingFace = Row(
    id="huggingface",
    name="Hugging Face",
    authorize="https://huggingface.co/oauth/authorize",
    token="https://huggingface.co/oauth/token",
    scopes=("openid", "profile", "email"),
    profile=Ask("https://huggingface.co/oauth/userinfo"),
    claims=Claims(id=("sub",), name=("name", "preferred_username")),
)


def _kakao_verified(profile: Mapping[str, Any]) -> bool:
    account = profile.get("kakao_account")
    flags = ("is_email_valid", "is_email_verified")
    return isinstance(account, Mapping) and all(is_true(account.get(flag)) for flag in flags)


Kakao = Row(
    id="kakao",
    name="Kakao",
    authorize="https://kauth.kakao.com/oauth/authorize",
    token="https://kauth.kakao.com/oauth/token",
    scopes=("account_email", "profile_image", "profile_nickname"),
    pkce=False,
    login_hint=True,
    profile=Ask("https://kapi.kakao.com/v2/user/me"),
    claims=Claims(
        name=("kakao_account.profile.nickname", "kakao_account.name"),
        email=("kakao_account.email",),
        image=("kakao_account.profile.profile_image_url", "kakao_account.profile.thumbnail_image_url"),
        email_verified=(_kakao_verified,),
    ),
)

Kick = Row(
    id="kick",
    name="Kick",
    authorize="https://id.kick.com/oauth/authorize",
    token="https://id.kick.com/oauth/token",
    scopes=("user:read",),
    profile=Ask("https://api.kick.com/public/v1/users", inside="data.0"),
    claims=Claims(id=("user_id",), image=("profile_picture",), email_verified=()),
)

Line = Row(
    id="line",
    name="LINE",
    authorize="https://access.line.me/oauth2/v2.1/authorize",
    token="https://api.line.me/oauth2/v2.1/token",
    scopes=("openid", "profile", "email"),
    login_hint=True,
    profile=Ask("https://api.line.me/oauth2/v2.1/userinfo"),
    by_id_token=True,
    claims=Claims(id=("sub",), email_verified=()),
    cls=LineProvider,
)

Linear = Row(
    id="linear",
    name="Linear",
    authorize="https://linear.app/oauth/authorize",
    token="https://api.linear.app/oauth/token",
    scopes=("read",),
    pkce=False,
    login_hint=True,
    profile=Ask(
        "https://api.linear.app/graphql",
        "POST",
        inside="data.viewer",
        body={"query": "query { viewer { id name email avatarUrl active createdAt updatedAt } }"},
    ),
    claims=Claims(image=("avatarUrl",), email_verified=()),
)

LinkedIn = Row(
    id="linkedin",
    name="Linkedin",
    authorize="https://www.linkedin.com/oauth/v2/authorization",
    token="https://www.linkedin.com/oauth/v2/accessToken",
    scopes=("profile", "email", "openid"),
    pkce=False,
    login_hint=True,
    profile=Ask("https://api.linkedin.com/v2/userinfo"),
    claims=Claims(id=("sub",)),
)

Microsoft = Row(
    id="microsoft",
    name="Microsoft EntraID",
    authorize="{authority}/{tenant_id}/oauth2/v2.0/authorize",
    token="{authority}/{tenant_id}/oauth2/v2.0/token",
    scopes=("openid", "profile", "email", "User.Read", "offline_access"),
    login_hint=True,
    claims=Claims(id=("oid",), email_verified=(vouched,)),
    id_tokens=IdTokens("{authority}/{tenant_id}/discovery/v2.0/keys", (), max_age=_HOUR),
    options=MicrosoftOptions,
    cls=MicrosoftProvider,
    email_is_anybodys=True,
)

Naver = Row(
    id="naver",
    name="Naver",
    authorize="https://nid.naver.com/oauth2.0/authorize",
    token="https://nid.naver.com/oauth2.0/token",
    scopes=("profile", "email"),
    pkce=False,
    profile=Ask("https://openapi.naver.com/v1/nid/me", expects={"resultcode": "00"}),
    claims=Claims(
        id=("response.id",),
        name=("response.name", "response.nickname"),
        email=("response.email",),
        image=("response.profile_image",),
        email_verified=(),
    ),
)

Notion = Row(
    id="notion",
    name="Notion",
    authorize="https://api.notion.com/v1/oauth/authorize",
    token="https://api.notion.com/v1/oauth/token",
    fixed={"owner": "user"},
    pkce=False,
    login_hint=True,
    auth=BASIC,
    confidential=True,
    profile=Ask(
        "https://api.notion.com/v1/users/me", inside="bot.owner.user", headers={"Notion-Version": "2022-06-28"}
    ),
    claims=Claims(email=("person.email",), image=("avatar_url",), email_verified=()),
)

Paybin = Row(
    id="paybin",
    name="Paybin",
    authorize="{issuer}/oauth2/authorize",
    token="{issuer}/oauth2/token",
    scopes=("openid", "email", "profile"),
    login_hint=True,
    confidential=True,
    claims=Claims(id=("sub",), name=("name", "preferred_username")),
    options=PaybinOptions,
)

PayPal = Row(
    id="paypal",
    name="PayPal",
    authorize="https://www.{host}/signin/authorize",
    token="https://api-m.{host}/v1/oauth2/token",
    separator=None,
    auth=BASIC,
    confidential=True,
    profile=Ask("https://api-m.{host}/v1/identity/oauth2/userinfo?schema=paypalv1.1"),
    claims=Claims(id=("user_id",)),
    options=PayPalOptions,
    cls=PayPalProvider,
)

Polar = Row(
    id="polar",
    name="Polar",
    authorize="https://polar.sh/oauth2/authorize",
    token="https://api.polar.sh/v1/oauth2/token",
    scopes=("openid", "profile", "email"),
    profile=Ask("https://api.polar.sh/v1/oauth2/userinfo"),
    claims=Claims(name=("public_name", "username"), image=("avatar_url",)),
)

Railway = Row(
    id="railway",
    name="Railway",
    authorize="https://backboard.railway.com/oauth/auth",
    token="https://backboard.railway.com/oauth/token",
    scopes=("openid", "email", "profile"),
    auth=BASIC,
    confidential=True,
    profile=Ask("https://backboard.railway.com/oauth/me"),
    claims=Claims(id=("sub",), email_verified=()),
)


def _reddit_picture(profile: Mapping[str, Any]) -> Any:
    picture = profile.get("icon_img", ...)
    return picture.partition("?")[0] if isinstance(picture, str) else picture


Reddit = Row(
    id="reddit",
    name="Reddit",
    authorize="https://www.reddit.com/api/v1/authorize",
    token="https://www.reddit.com/api/v1/access_token",
    scopes=("identity",),
    params={"duration": "{duration}"},
    pkce=False,
    auth=BASIC,
    token_headers=_AGENT,
    confidential=True,
    profile=Ask("https://oauth.reddit.com/api/v1/me", headers=_AGENT),
    claims=Claims(email=(), image=(_reddit_picture,), email_verified=(), placeholder="reddit"),
    options=RedditOptions,
)

Roblox = Row(
    id="roblox",
    name="Roblox",
    authorize="https://apis.roblox.com/oauth/v1/authorize",
    token="https://apis.roblox.com/oauth/v1/token",
    scopes=("openid", "profile"),
    params={"prompt": "select_account consent"},
    pkce=False,
    profile=Ask("https://apis.roblox.com/oauth/v1/userinfo"),
    claims=Claims(
        id=("sub",), name=("nickname", "preferred_username"), email=(), email_verified=(), placeholder="roblox"
    ),
)

Salesforce = Row(
    id="salesforce",
    name="Salesforce",
    authorize="{origin}/services/oauth2/authorize",
    token="{origin}/services/oauth2/token",
    scopes=("openid", "email", "profile"),
    confidential=True,
    profile=Ask("{origin}/services/oauth2/userinfo"),
    claims=Claims(id=("user_id",), image=("photos.picture", "photos.thumbnail")),
    options=SalesforceOptions,
)

Slack = Row(
    id="slack",
    name="Slack",
    authorize="https://slack.com/openid/connect/authorize",
    token="https://slack.com/api/openid.connect.token",
    scopes=("openid", "profile", "email"),
    pkce=False,
    profile=Ask("https://slack.com/api/openid.connect.userInfo"),
    claims=Claims(id=("https://slack.com/user_id",), image=("picture", "https://slack.com/user_image_512")),
)

Spotify = Row(
    id="spotify",
    name="Spotify",
    authorize="https://accounts.spotify.com/authorize",
    token="https://accounts.spotify.com/api/token",
    scopes=("user-read-email",),
    profile=Ask("https://api.spotify.com/v1/me"),
    claims=Claims(name=("display_name",), image=("images.0.url",), email_verified=()),
)

TikTok = Row(
    id="tiktok",
    name="TikTok",
    authorize="https://www.tiktok.com/v2/auth/authorize",
    token="https://open.tiktokapis.com/v2/oauth/token/",
    scopes=("user.info.profile",),
    separator=",",
    pkce=False,
    client_id_name="client_key",
    confidential=True,
    profile=Ask(
        "https://open.tiktokapis.com/v2/user/info/?fields=open_id%2Cavatar_large_url%2Cdisplay_name%2Cusername"
    ),
    claims=Claims(
        id=("data.user.open_id",),
        name=("data.user.display_name", "data.user.username"),
        email=("data.user.email",),
        image=("data.user.avatar_large_url",),
        email_verified=(),
        placeholder="tiktok",
    ),
    options=TikTokOptions,
    needs=("client_key",),
)

Twitch = Row(
    id="twitch",
    name="Twitch",
    authorize="https://id.twitch.tv/oauth2/authorize",
    token="https://id.twitch.tv/oauth2/token",
    scopes=("user:read:email", "openid"),
    params={"claims": "{claims_wanted}"},
    pkce=False,
    claims=Claims(id=("sub",), name=("preferred_username",)),
    options=TwitchOptions,
)

Twitter = Row(
    id="twitter",
    name="Twitter",
    authorize="https://x.com/i/oauth2/authorize",
    token="https://api.x.com/2/oauth2/token",
    scopes=("users.read", "tweet.read", "offline.access", "users.email"),
    auth=BASIC,
    confidential=True,
    profile=Ask("https://api.x.com/2/users/me?user.fields=profile_image_url"),
    claims=Claims(
        id=("data.id",),
        name=("data.name",),
        email=("data.email",),
        image=("data.profile_image_url",),
        placeholder="twitter",
    ),
    cls=TwitterProvider,
)

Vercel = Row(
    id="vercel",
    name="Vercel",
    authorize="https://vercel.com/oauth/authorize",
    token="https://api.vercel.com/login/oauth/token",
    refresh=False,
    profile=Ask("https://api.vercel.com/login/oauth/userinfo"),
    claims=Claims(id=("sub",), name=("name", "preferred_username")),
    options=ClientAuthOptions,
)

VK = Row(
    id="vk",
    name="VK",
    authorize="https://id.vk.com/authorize",
    token="https://id.vk.com/oauth2/auth",
    scopes=("email", "phone"),
    params={"scheme": "{scheme}"},
    claims=Claims(
        id=("user.user_id",),
        name=("user.first_name user.last_name",),
        email=("user.email",),
        image=("user.avatar",),
        email_verified=(),
        further={name: f"user.{name}" for name in ("first_name", "last_name", "birthday", "sex")},
    ),
    options=VKOptions,
    cls=VKProvider,
)

WeChat = Row(
    id="wechat",
    name="WeChat",
    authorize="https://open.weixin.qq.com/connect/qrconnect#wechat_redirect",
    token="https://api.weixin.qq.com/sns/oauth2/access_token",
    scopes=("snsapi_login",),
    separator=",",
    params={"lang": "{lang}"},
    pkce=False,
    client_id_name="appid",
    confidential=True,
    claims=Claims(
        id=("unionid", "openid"),
        name=("nickname",),
        image=("headimgurl",),
        email_verified=(),
        placeholder="wechat",
    ),
    options=WeChatOptions,
    cls=WeChatProvider,
)


def _zoom_verified(profile: Mapping[str, Any]) -> bool:
    return is_true(profile.get("verified")) or profile.get("verified") == 1  # a number, says its documentation


Zoom = Row(
    id="zoom",
    name="Zoom",
    authorize="https://zoom.us/oauth/authorize",
    token="https://zoom.us/oauth/token",
    separator=None,
    profile=Ask("https://api.zoom.us/v2/users/me"),
    claims=Claims(name=("display_name",), image=("pic_url",), email_verified=(_zoom_verified,)),
    options=ZoomOptions,
)

#: Every provider, by its identifier.
CATALOG = {row.id: row for row in list(globals().values()) if isinstance(row, Row)}
