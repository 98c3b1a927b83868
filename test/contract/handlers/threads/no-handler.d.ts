/** A declaration, which no version of Node runs. */
declare const handler: undefined;
export default handler;
