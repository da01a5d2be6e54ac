// Follows one subscription by graphql-ws and tells each thing that happens as a line of JSON.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const { SOCKET, TOKEN, PURPOSE, QUERY } = process.env;
const say = (kind, value = null) => console.log(JSON.stringify({ kind, value }));
const close = ({ code, reason }) => ({ code, reason });

const client = createClient({
  url: SOCKET,
  webSocketImpl: WebSocket,
  retryAttempts: 0,
  keepAlive: 200,
  connectionParams: { Authorization: `Bearer ${TOKEN}`, "X-Processing-Purpose": PURPOSE },
  on: {
    connected: () => say("connected"),
    closed: (event) => say("closed", close(event)),
  },
});

client.subscribe(
  { query: QUERY },
  {
    next: (answer) => say("next", answer),
    error: (error) => say("error", Array.isArray(error) ? error : close(error)),
    complete: () => say("complete"),
  },
);
