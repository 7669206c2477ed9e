// Unpacks what the page brings along, and starts it: nothing is fetched from anywhere.
(async () => {
  const nonce = document.currentScript.nonce;
  const packed = (id) => document.getElementById(id).textContent;
  const unpack = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const modules = JSON.parse(await unpack(packed("modules")));
  const address = (source) => URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const imports = Object.fromEntries(
    Object.entries(modules).map(([name, source]) => [name, address(source)]),
  );
  const map = document.createElement("script");
  Object.assign(map, { type: "importmap", nonce, textContent: JSON.stringify({ imports }) });
  document.head.append(map);
  const sources = JSON.parse(packed("sources"));
  for (const source of sources) source.json = await unpack(source.packed);
  const { start } = await import("tailrace-report/report.js");
  start(sources);
})();
