/** What a member knows of records that none of its guards uses yet. */
import type * as Wire from "../core/fleetWire.js"

/** What a member knows of a record that none of its guards uses. */
export interface Known {
  readonly view: Wire.View
  readonly atMillis: number
}

/** Tests whether a record says anything to a guard that has not been used. */
export const matters = (view: Wire.View): boolean => {
  switch (view.kind) {
    case "circuit":
      return view.open
    case "order":
      return view.order !== "None" || view.isolated > 0 || view.resets > 0
    case "cooldown":
      return view.held
  }
}

/** What is known, as it would be said now. */
export const shifted = ({ atMillis, view }: Known, now: number): Wire.View => {
  const passed = now - atMillis
  switch (view.kind) {
    case "order":
      return { ...view, isolated: Math.max(0, view.isolated - passed) }
    case "circuit":
      return view.open ? { ...view, left: view.left - passed } : view
    case "cooldown":
      return { ...view, left: view.left - passed }
  }
}
