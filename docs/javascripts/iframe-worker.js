// Search when the site is read from a disk: browsers start no Worker from a file, but they do run
// the same script in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = `<script>
        self.postMessage = data => frameElement.answer(data);
        self.importScripts = (...urls) => Promise.all(urls.map(url => new Promise((done, fail) => {
          const script = document.createElement("script");
          Object.assign(script, { src: url, onload: done, onerror: fail });
          document.head.append(script);
        })));
      </script><script src="${url}"></script>`;
      this.frame.answer = data => this.dispatchEvent(new MessageEvent("message", { data }));
      this.frame.onload = () => {
        this.ready = true;
        this.waiting.splice(0).forEach(data => this.postMessage(data));
      };
      document.documentElement.append(this.frame);
    }

    postMessage(data) {
      if (this.ready) {
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
      } else {
        this.waiting.push(data);
      }
    }
  };
}
