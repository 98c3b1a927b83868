import { test } from 'vitest';
import { newFolder } from '../folders.js';
import { runLedger } from './ledger.js';

const messages = Number(process.env.LEDGER_MESSAGES ?? 100_000);
const kills = Number(process.env.LEDGER_KILLS ?? 100);
const timeout = 60_000 + messages * 10 + kills * 2000;

test('processes killed at random moments lose nothing, invent nothing, and mark what comes twice', {
  timeout,
}, async () => {
  await runLedger({ folder: newFolder(), messages, kills });
});

test('processes killed in the middle of commits lose nothing, invent nothing, and mark what comes twice', {
  timeout,
}, async () => {
  const dyingThread = new URL('../processes/dying-store-thread.mjs', import.meta.url);
  await runLedger({ folder: newFolder(), messages: messages / 10, kills: kills / 2, dyingThread });
});
