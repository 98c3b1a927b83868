/** `millrace topology` */
import type { Command } from 'commander';
import { addHelp, type Execute } from '../common-options.js';
import { addApplyCommand } from './topology/apply.js';
import { addCheckCommand } from './topology/check.js';
import { addExportCommand } from './topology/export.js';

const EXAMPLES = `
Examples:
  $ millrace topology check ./queues.js     compare the broker with the module
  $ millrace topology apply ./queues.js     declare what the module exports
  $ millrace topology export definitions.json ./queues.js
  $ millrace topology export asyncapi.json ./queues.js --format asyncapi`;

const NOTES = `
The module exports what defineQueue, defineTopic, defineSubscription, defineExchange and defineRoute return.`;

export function addTopologyCommand(program: Command, execute: Execute): void {
  const topology = program
    .command('topology')
    .description('Checks, declares and exports the queues, exchanges and bindings of a module.');
  addHelp(topology, EXAMPLES, NOTES);
  addCheckCommand(topology, execute);
  addApplyCommand(topology, execute);
  addExportCommand(topology, execute);
}
