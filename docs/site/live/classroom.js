// The classroom page's Python: started by its first question.
import { startEngine } from "./engine.js";

const engine = startEngine();
export const ask = (text) => engine.ask(text);
