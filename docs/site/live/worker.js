// The interpreter, in a thread that can be ended at any time. engine.js starts it with the compiled module and the
// files; after "ready" each message {op, ...} is a turn of Python: guest.py reads the request from a file, and writes
// the answer to another.
import { WASI, WASIProcExit, ConsoleStdout, Directory, File, OpenFile, PreopenDirectory } from "./shim/index.js";

const NOT_A_DIRECTORY = 54, NO_SUCH_FILE = 44;  // the shim answers the first where Python expects the second
const ZIP = "python315.zip";  // the name under which the interpreter looks for its library
const START = `
import sys
for importer in sys.path_importer_cache.values():
    importer and importer.invalidate_caches()
import zipfile
for name, folder in ("matplotlib", "/usr/local/lib/${ZIP}/matplotlib/mpl-data"), ("refhf", "/live/lib"):
    zipfile.ZipFile(f"/live/{name}.zip").extractall(folder)
sys.path.insert(0, "/live/lib")
import guest
guest.start()
`;

const text = new TextEncoder();
const live = new Directory(new Map());
let exports;
let said = "";  // in this turn

function printed() {
  const decoder = new TextDecoder();
  return new ConsoleStdout((bytes) => {
    const output = decoder.decode(bytes, { stream: true });
    said += output;
    postMessage({ output });
  });
}

function system(files) {
  for (const name of ["refhf", "matplotlib"]) live.contents.set(`${name}.zip`, new File(files[name]));
  const folder = (name) => [name, new Directory(new Map())];
  return [
    new OpenFile(new File([])),
    printed(),
    printed(),
    new PreopenDirectory("/usr/local/lib", new Map([[ZIP, new File(files.stdlib, { readonly: true })]])),
    new PreopenDirectory(`/usr/local/lib/${ZIP}/matplotlib/mpl-data`, new Map()),
    new PreopenDirectory("/", new Map([folder("tmp"), folder("home"), ["live", live]])),
  ];
}

function start({ module, files }) {
  const environment = ["TMPDIR=/tmp", "HOME=/home", "PYTHONTZPATH=", "MPLBACKEND=svg", "MPLCONFIGDIR=/tmp", "PYTHON_COLORS=0"];
  const wasi = new WASI(["python"], environment, system(files), { debug: false });
  const calls = { ...wasi.wasiImport, sched_yield: () => 0 };
  for (const name of ["path_open", "path_filestat_get", "path_readlink"]) {
    const call = calls[name];
    calls[name] = (...args) => {
      const code = call(...args);
      return code === NOT_A_DIRECTORY ? NO_SUCH_FILE : code;
    };
  }
  calls.fd_fdstat_get = (fd, at) => {
    const code = wasi.wasiImport.fd_fdstat_get(fd, at);
    if (fd > 2) new BigUint64Array(memory(), at + 8, 2).fill(2n ** 64n - 1n);  // all rights, else os.access says no
    return code;
  };
  calls.poll_oneoff = (from, ...rest) => {  // the shim takes a time of day for a duration
    const view = new DataView(memory(), from);
    if (view.getUint8(8) === 0 && view.getUint16(40, true) === 1) {
      const left = view.getBigUint64(24, true) - BigInt(Math.round(performance.now() * 1e6));
      view.setBigUint64(24, left > 0n ? left : 0n, true);
      view.setUint16(40, 0, true);
    }
    return wasi.wasiImport.poll_oneoff(from, ...rest);
  };
  const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: calls, host: { call: () => -1 } });
  exports = instance.exports;
  wasi.initialize(instance);
  turn(START);
  postMessage({ ready: true });
}

const memory = () => exports.memory.buffer;

function turn(code) {
  const bytes = text.encode(code);
  const place = exports.host_alloc(bytes.length) >>> 0;
  new Uint8Array(memory()).set(bytes, place);
  said = "";
  if (exports.turn(place, bytes.length) !== 0) throw new Error(said);
}

onmessage = ({ data }) => {
  try {
    if (data.module) return start(data);
    live.contents.set("request.json", new File(text.encode(JSON.stringify(data))));
    turn("guest.serve()");
    postMessage({ answer: JSON.parse(new TextDecoder().decode(live.contents.get("answer.json").data)) });
  } catch (error) {
    postMessage({ fault: error instanceof WASIProcExit ? `Python has ended (${error.code})` : String(error) });
  }
};
