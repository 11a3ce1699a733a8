// The one door to Python in the browser. Another interpreter takes this one's place if it has the same functions:
//
//   engine = startEngine({ onProgress })        onProgress({ stage, done, total }): bytes while stage is "loading"
//   engine.run(code, { onOutput })              a promise of { figures: [{ svg, text }], value, error }
//   engine.ask(text)                            a promise of the answer to the classroom page, JSON text to JSON text
//   engine.stop()                               ends what runs; what waits is refused; the next call starts afresh
//
// Calls run one after the other, in one Python whose state stays. The interpreter is in a worker: see worker.js.

const HERE = new URL(".", import.meta.url);

export class Stopped extends Error {}

async function load(onProgress) {
  const sizes = await (await fetch(new URL("parts.json", HERE))).json();
  const total = Object.values(sizes).reduce((sum, size) => sum + size);
  let done = 0;
  const counted = async (name) => {
    const answer = await fetch(new URL(name, HERE));
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
    const count = new TransformStream({
      transform(chunk, controller) {
        done += chunk.length;
        onProgress({ stage: "loading", done, total });
        controller.enqueue(chunk);
      },
    });
    return answer.body.pipeThrough(count);
  };
  const compiled = async () => {
    const unpacked = (await counted("python.wasm.gz")).pipeThrough(new DecompressionStream("gzip"));
    const headers = { "Content-Type": "application/wasm" };
    return WebAssembly.compileStreaming(new Response(unpacked, { headers }));
  };
  const file = async (name) => new Response(await counted(`${name}.zip`)).arrayBuffer();
  const names = ["stdlib", "matplotlib", "refhf"];
  const [module, ...contents] = await Promise.all([compiled(), ...names.map(file)]);
  return { module, files: Object.fromEntries(names.map((name, i) => [name, contents[i]])) };
}

// One interpreter's time: `over` fails when it is ended.
function newLife() {
  let end;
  const over = new Promise((_, reject) => (end = reject));
  over.catch(() => {});
  return { over, end };
}

export function startEngine({ onProgress = () => {} } = {}) {
  let parts, worker, ready;
  let life = newLife();
  let line = Promise.resolve();

  const end = (error) => {
    worker?.terminate();
    worker = ready = undefined;
    life.end(error);
    life = newLife();
    line = Promise.resolve();
  };

  // A promise of the worker's next message of this kind; what is printed until then goes to onOutput.
  const heard = (kind, onOutput = () => {}) =>
    new Promise((resolve, reject) => {
      worker.onerror = (event) => reject(new Error(event.message));
      worker.onmessage = ({ data }) => {
        if ("output" in data) onOutput(data.output);
        else if (kind in data) resolve(data[kind]);
        else reject(new Error(data.fault));
      };
    });

  const start = async (here) => {
    parts ??= load(onProgress);
    const loaded = await parts.catch((error) => {
      parts = undefined;
      throw error;
    });
    if (here !== life) throw new Stopped();
    onProgress({ stage: "starting" });
    worker = new Worker(new URL("worker.js", HERE), { type: "module" });
    const started = heard("ready");
    worker.postMessage(loaded);
    await started;
    onProgress({ stage: "ready" });
  };

  const turn = (op, text, onOutput) => {
    const here = life;
    const done = line.then(async () => {
      if (here !== life) throw new Stopped();
      await (ready ??= start(here));
      const answer = heard("answer", onOutput);
      worker.postMessage({ op, text });
      return answer;
    });
    line = done.catch((error) => {
      if (here === life) end(error);
    });
    return Promise.race([here.over, done]);
  };

  return {
    run: (code, { onOutput } = {}) => turn("run", code, onOutput),
    ask: (text) => turn("ask", text),
    stop: () => end(new Stopped("stopped")),
  };
}
