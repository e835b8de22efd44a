// A browser starts no worker for a page that was opened as a file. The search then runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(script) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      this.ready = new Promise((resolve) => {
        const start = async () => {
          const inside = this.frame.contentWindow;
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          inside.importScripts = async (...scripts) => {
            for (const each of scripts) await load(inside.document, each);
          };
          await inside.importScripts(script);
          resolve(inside);
        };
        if (document.body) document.body.append(this.frame), start();
        else addEventListener("DOMContentLoaded", () => (document.body.append(this.frame), start()));
      });
    }

    async postMessage(data) {
      const inside = await this.ready;
      inside.dispatchEvent(new inside.MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };

  const load = (where, source) =>
    new Promise((resolve, reject) => {
      const element = where.createElement("script");
      Object.assign(element, { src: source, onload: resolve, onerror: reject });
      where.head.append(element);
    });
}
