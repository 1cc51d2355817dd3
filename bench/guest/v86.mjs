// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a multiboot kernel on v86 under node, with COM1 on stdout. For bench/peers.py.
//
//     node v86.mjs FOLDER_OF_V86 KERNEL DISK "COMMAND LINE"
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [, , folder, kernel, disk, commandLine] = process.argv;
const build = path.join(folder, "build");
const { V86 } = await import(pathToFileURL(path.join(build, "libv86.mjs")).href);

const buffer = (file) => ({ buffer: new Uint8Array(fs.readFileSync(file)).buffer });
const emulator = new V86({
    wasm_path: path.join(build, "v86.wasm"),
    memory_size: 64 << 20,
    multiboot: buffer(kernel),
    cmdline: commandLine,
    hda: buffer(disk),
    uart1: true,
    net_device: { type: "ne2k" },
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    autostart: true,
    log_level: 0,
});
let line = "";
emulator.add_listener("serial0-output-byte", (byte) => {
    line += String.fromCharCode(byte);
    if (byte === 10) {
        fs.writeSync(1, line);
        if (line.startsWith("over")) process.exit(0);
        line = "";
    }
});
