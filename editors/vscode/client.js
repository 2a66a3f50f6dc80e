// A client of a language server over standard input and output: JSON-RPC messages, and no dependencies.
"use strict";

const {spawn} = require("node:child_process");

class Client {
  // `handlers` maps the names of notifications to functions; `onExit` is told why the server ended.
  constructor(command, handlers, onExit) {
    this.handlers = handlers;
    this.waiting = new Map();
    this.count = 0;
    this.received = Buffer.alloc(0);
    this.server = spawn(command[0], command.slice(1), {stdio: ["pipe", "pipe", "inherit"]});
    this.server.stdout.on("data", (data) => this.receive(data));
    this.server.stdin.on("error", () => {}); // the exit tells more
    const end = (why) => {
      this.waiting.forEach(({reject}) => reject(new Error(why)));
      this.waiting.clear();
      onExit(why);
    };
    this.server.on("error", (error) => end(error.message));
    this.server.on("exit", (code) => end(`the server ended with ${code}`));
  }

  send(message) {
    const body = Buffer.from(JSON.stringify({jsonrpc: "2.0", ...message}), "utf-8");
    this.server.stdin.write(`Content-Length: ${body.length}\r\n\r\n`);
    this.server.stdin.write(body);
  }

  notify(method, params) {
    this.send({method, params});
  }

  request(method, params) {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, {resolve, reject});
      this.send({id, method, params});
    });
  }

  receive(data) {
    this.received = Buffer.concat([this.received, data]);
    for (;;) {
      const end = this.received.indexOf("\r\n\r\n");
      const length = /Content-Length: (\d+)/i.exec(this.received.subarray(0, Math.max(end, 0)).toString());
      if (end < 0 || !length || this.received.length < end + 4 + Number(length[1])) return;
      const stop = end + 4 + Number(length[1]);
      const message = JSON.parse(this.received.subarray(end + 4, stop).toString("utf-8"));
      this.received = this.received.subarray(stop);
      this.dispatch(message);
    }
  }

  dispatch(message) {
    if (message.method !== undefined && message.id !== undefined) {
      this.send({id: message.id, error: {code: -32601, message: `no method ${message.method}`}});
    } else if (message.method !== undefined) {
      this.handlers[message.method]?.(message.params);
    } else if (this.waiting.has(message.id)) {
      const {resolve, reject} = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
    }
  }
}

module.exports = {Client};
