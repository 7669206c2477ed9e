"""The page on which a browser is asked for the token; it fetches nothing."""

import math
from string import Template

from starlette.responses import HTMLResponse

from tailrace.plain import as_html

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; \
frame-ancestors 'none'; base-uri 'none'"
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Log in · Tailrace control room</title>
<style>
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  font: 16px/1.5 system-ui, sans-serif;
  background: light-dark(#f4f6f8, #0e1318); color: light-dark(#15202b, #e6ebf0); }
main { width: 100%; max-width: 22rem; padding: 1.75rem; border-radius: 12px;
  background: light-dark(#fff, #161d24); border: 1px solid light-dark(#dce2e8, #2b3641); }
h1 { font-size: 1.25rem; margin: 0 0 1.25rem; }
label { display: block; font-weight: 600; margin-bottom: .35rem; }
input { width: 100%; font: inherit; padding: .55rem .7rem; border-radius: 8px; color: inherit;
  background: light-dark(#fff, #10161c); border: 1px solid light-dark(#8391a0, #66747f); }
button { width: 100%; margin-top: 1rem; padding: .6rem; font: inherit; font-weight: 600; border: 0;
  border-radius: 8px; cursor: pointer;
  background: light-dark(#0b6a96, #4fb3e0); color: light-dark(#fff, #06212f); }
:focus-visible { outline: 3px solid light-dark(#0b6a96, #4fb3e0); outline-offset: 2px; }
.hint { margin: .6rem 0 0; font-size: .875rem; color: light-dark(#566372, #97a4b1); }
.wrong { margin: .6rem 0 0; font-weight: 600; color: light-dark(#b3261e, #ff8a7a); }
</style>
</head>
<body>
<main>
<h1>Tailrace control room</h1>
<form method="post" action="/login">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus
  aria-describedby="hint"$invalid>
$wrong<p class="hint" id="hint">The TAILRACE_TOKEN with which this control room was started.</p>
<input type="hidden" name="to" value="$to">
<button>Log in</button>
</form>
</main>
</body>
</html>
""")


def login_page(to: str, problem: str = "", wait_s: float = 0.0) -> HTMLResponse:
    """The form, which leads to the local address `to`; `problem` is why the last attempt failed.

    Status 401, or 429 with Retry-After if the next attempt has to wait for `wait_s`.
    """
    wrong = f'<p class="wrong" role="alert">{as_html(problem.capitalize())}.</p>' if problem else ""
    page = _PAGE.substitute(
        invalid=' aria-invalid="true"' if problem else "", wrong=wrong, to=as_html(to)
    )
    answer = HTMLResponse(page, 429 if wait_s else 401, {"Cache-Control": "no-store"})
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["WWW-Authenticate"] = "Bearer"
    if wait_s:
        answer.headers["Retry-After"] = str(math.ceil(wait_s))
    return answer
