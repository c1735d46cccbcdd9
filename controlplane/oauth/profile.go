package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// profileFunc asks a provider without OpenID Connect who somebody is, and answers in the words of OpenID Connect.
type profileFunc func(ctx context.Context, c profileClient) (claims, error)

// profileClient asks on behalf of one person.
type profileClient struct {
	client *http.Client
	token  string // access token
	secret string // of the client
}

// get reads a JSON document.
func (c profileClient) get(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "fluxbase")
	response, err := c.client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: profile: %w", ErrUnavailable, transportError(err))
	}
	defer response.Body.Close() //nolint:errcheck // read or not, it is done with
	switch {
	case response.StatusCode >= 500:
		return fmt.Errorf("%w: profile: status %d", ErrUnavailable, response.StatusCode)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: profile: status %d", ErrRefused, response.StatusCode)
	}
	d := json.NewDecoder(response.Body)
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: profile: not the expected document", ErrUnavailable)
	}
	return nil
}

// githubProfile takes the address that is primary and verified; a public one of the profile proves nothing.
func githubProfile(ctx context.Context, c profileClient) (claims, error) {
	var user struct {
		ID     json.Number `json:"id"`
		Login  string      `json:"login"`
		Name   string      `json:"name"`
		Avatar string      `json:"avatar_url"`
	}
	if err := c.get(ctx, "https://api.github.com/user", &user); err != nil {
		return nil, err
	}
	var emails []struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	if err := c.get(ctx, "https://api.github.com/user/emails", &emails); err != nil {
		return nil, err
	}
	who := claims{"iss": "https://api.github.com", "sub": user.ID.String(), "name": user.Name, "preferred_username": user.Login, "picture": user.Avatar}
	for _, e := range emails {
		if e.Primary {
			who["email"], who["email_verified"] = e.Email, e.Verified
		}
	}
	return who, nil
}

// facebookProfile proves to Facebook that the token is asked about by its client. Facebook does not say whether an address
// is verified.
func facebookProfile(ctx context.Context, c profileClient) (claims, error) {
	var user struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Email   string `json:"email"`
		Picture struct {
			Data struct {
				URL string `json:"url"`
			} `json:"data"`
		} `json:"picture"`
	}
	mac := hmac.New(sha256.New, []byte(c.secret))
	mac.Write([]byte(c.token))
	query := url.Values{"fields": {"id,name,email,picture"}, "appsecret_proof": {hex.EncodeToString(mac.Sum(nil))}}
	if err := c.get(ctx, "https://graph.facebook.com/v21.0/me?"+query.Encode(), &user); err != nil {
		return nil, err
	}
	return claims{"iss": "https://graph.facebook.com", "sub": user.ID, "name": user.Name, "email": user.Email, "picture": user.Picture.Data.URL}, nil
}

func discordProfile(ctx context.Context, c profileClient) (claims, error) {
	var user struct {
		ID         string `json:"id"`
		Username   string `json:"username"`
		GlobalName string `json:"global_name"`
		Email      string `json:"email"`
		Verified   bool   `json:"verified"`
		Avatar     string `json:"avatar"`
	}
	if err := c.get(ctx, "https://discord.com/api/users/@me", &user); err != nil {
		return nil, err
	}
	who := claims{"iss": "https://discord.com/api", "sub": user.ID, "name": user.GlobalName, "preferred_username": user.Username,
		"email": user.Email, "email_verified": user.Verified}
	if user.Avatar != "" {
		who["picture"] = "https://cdn.discordapp.com/avatars/" + url.PathEscape(user.ID) + "/" + url.PathEscape(user.Avatar) + ".png"
	}
	return who, nil
}
