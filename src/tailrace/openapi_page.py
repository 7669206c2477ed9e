"""A page of an HTTP interface's routes, drawn in the browser from `openapi.json` beside it.

FastAPI's own page loads its scripts from a CDN; this one needs nothing but the page itself.
"""

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>TITLE</title>
<style>
:root { color-scheme: light dark; --line: light-dark(#dde2e8, #2c343d);
  --soft: light-dark(#f5f7f9, #1a2027); --dim: light-dark(#5b6672, #9aa5b1); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 0 auto; padding: 2rem 1rem;
  background: light-dark(#fff, #12161b); color: light-dark(#1b222a, #e4e9ee); }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
details { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; }
summary { cursor: pointer; padding: .6rem .8rem; display: flex; gap: .8rem; flex-wrap: wrap; }
summary span { color: var(--dim); margin-left: auto; }
summary b { min-width: 3.6rem; font: 600 13px/1.7 ui-monospace, monospace; }
.body { border-top: 1px solid var(--line); padding: .2rem .8rem .8rem; overflow-x: auto; }
table { border-collapse: collapse; } td { padding: .15rem 1rem .15rem 0; vertical-align: top;
  overflow-wrap: anywhere; }
pre { background: var(--soft); border-radius: 6px; padding: .6rem .8rem; margin: 0; overflow: auto;
  white-space: pre-wrap; }
.dim, small { color: var(--dim); }
</style>
</head>
<body>
<h1>TITLE</h1>
<p class="dim" id="about">Reading <a href="openapi.json">openapi.json</a> …</p>
<main id="routes"></main>
<script>
const make = (tag, text, ...children) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
};
const follow = (api, schema) => schema && schema.$ref
  ? schema.$ref.slice(2).split('/').reduce((at, key) => at[key], api) : schema || {};
const sketch = (api, schema, depth = 0) => {
  schema = follow(api, schema);
  const any = (schema.anyOf || schema.oneOf || schema.allOf || []).map(s => sketch(api, s, depth));
  if (any.length) return [...new Set(any)].join(' | ');
  if (schema.enum) return schema.enum.map(value => JSON.stringify(value)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const pad = '  '.repeat(depth + 1);
  if (schema.properties && depth < 5) return '{\\n' + Object.entries(schema.properties).map(
    ([key, value]) => (value.description
      ? pad + '// ' + value.description.replace(/\\s+/g, ' ') + '\\n' : '')
      + pad + JSON.stringify(key) + ': ' + sketch(api, value, depth + 1)
  ).join(',\\n') + '\\n' + '  '.repeat(depth) + '}';
  if (schema.items) return '[' + sketch(api, schema.items, depth) + ', …]';
  if (typeof schema.additionalProperties === 'object')
    return '{name: ' + sketch(api, schema.additionalProperties, depth) + ', …}';
  return schema.format === 'binary' ? 'bytes' : [].concat(schema.type || 'any').join(' | ');
};
const content = (api, body) => Object.entries(body.content || {}).map(([type, media]) =>
  make('div', '', make('small', type), make('pre', sketch(api, media.schema))));
const operation = (api, path, method, op) => {
  const body = make('div', op.description && op.description !== op.summary ? op.description : '');
  body.className = 'body';
  const rows = (op.parameters || []).map(p => follow(api, p)).map(p => make('tr', '',
    make('td', '', make('code', p.name)), make('td', p.in + (p.required ? ', required' : '')),
    make('td', sketch(api, p.schema)), make('td', p.description || '')));
  if (rows.length) body.append(make('h2', 'Parameters'), make('table', '', ...rows));
  if (op.requestBody) body.append(make('h2', 'Request'), ...content(api, op.requestBody));
  for (const [code, answer] of Object.entries(op.responses || {}))
    body.append(make('h2', code + ' ' + (follow(api, answer).description || '')),
      ...content(api, follow(api, answer)));
  return make('details', '', make('summary', '', make('b', method.toUpperCase()),
    make('code', path), make('span', op.summary || '')), body);
};
fetch('openapi.json').then(answer => answer.json()).then(api => {
  const about = document.getElementById('about');
  about.textContent = (api.info.description || '') + ' Version ' + api.info.version + '. ';
  about.append(Object.assign(make('a', 'openapi.json'), {href: 'openapi.json'}));
  const verbs = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options'];
  for (const [path, item] of Object.entries(api.paths))
    for (const verb of verbs.filter(name => item[name]))
      document.getElementById('routes').append(operation(api, path, verb, item[verb]));
}).catch(error => {
  document.getElementById('about').textContent = 'openapi.json could not be read: ' + error;
});
</script>
</body>
</html>
"""


def page(title: str) -> str:
    """The page's HTML; it fetches `openapi.json` relative to its own address."""
    return _PAGE.replace("TITLE", escape(title))
