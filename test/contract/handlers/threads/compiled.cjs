/** What a compiler makes of `export default async function handle …`. */
Object.defineProperty(exports, '__esModule', { value: true });
exports.default = async function handle(command) {
  return command.n ** 2;
};
