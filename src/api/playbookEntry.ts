/**
 * A row of an API's table: what HTTP says of the status, in the words of the document.
 */
import * as Playbook from "../errors/Playbook.js"

export const row = (status: number, changes: Partial<Playbook.Entry>): Playbook.Entry => ({
  ...Playbook.lookup(Playbook.standard, status),
  ...changes
})
