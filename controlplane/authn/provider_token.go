package authn

import (
	"encoding/hex"
	"encoding/json"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
	"github.com/wayli-app/fluxbase/controlplane/seal"
)

// providerTokens are those of a provider while they wait for the exchange of the code.
type providerTokens struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}

// sealedTokens is where they are stored.
func sealedTokens(codeHash []byte) seal.Place {
	return seal.Place{Table: "auth.flow_states", Column: "provider_tokens", Row: hex.EncodeToString(codeHash)}
}

// sealProviderTokens makes what is stored of the tokens of a provider, nothing without one.
func (h *Handler) sealProviderTokens(codeHash []byte, t oauth.Tokens) (string, error) {
	if t.Access == "" {
		return "", nil
	}
	text, err := json.Marshal(providerTokens(t))
	if err != nil {
		return "", err
	}
	return h.Sealer.Seal(sealedTokens(codeHash), text), nil
}

// openProviderTokens is the way back. Whoever signs in does so without them when the key was changed meanwhile.
func (h *Handler) openProviderTokens(c echo.Context, codeHash []byte, sealed string) (t providerTokens) {
	if sealed == "" || h.Sealer == nil {
		return t
	}
	text, _, err := h.Sealer.Open(sealedTokens(codeHash), sealed)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil {
		h.OAuth.Log.WarnContext(c.Request().Context(), "tokens of a provider cannot be read any more", "error", err)
		return providerTokens{}
	}
	return t
}
