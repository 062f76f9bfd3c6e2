// Reads a JSON array of playlist texts on standard input, parses each with hls-parser in strict
// mode, and prints a JSON array: null where the playlist is right, else what is wrong with it.
import { readFileSync } from "node:fs";
import HLS from "hls-parser";

HLS.setOptions({ strictMode: true, silent: true });

const verdict = (text) => {
  try {
    HLS.parse(text);
    return null;
  } catch (error) {
    return error.message;
  }
};

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(verdict)));
