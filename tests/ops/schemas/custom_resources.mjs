// Reads JSON documents, one a line, and writes one line for each that a custom resource's published schema refuses.
import { createInterface } from "node:readline";
import * as v1 from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

for await (const line of createInterface({ input: process.stdin })) {
  const document = JSON.parse(line);
  try {
    new v1[document.kind](document).validate();
  } catch (error) {
    console.log(`${document.kind} ${document.metadata.name}: ${error.message}`);
  }
}
