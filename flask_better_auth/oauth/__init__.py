"""What signing in through a provider needs of OAuth 2.0 and OpenID Connect."""
