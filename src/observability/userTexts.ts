/**
 * The sentences that users read, by locale. They hold no technical detail and no text of an API.
 */
import type * as ApiError from "../errors/ApiError.js"

/**
 * What can have happened, as far as a user is concerned.
 *
 * - the ten tags of `ApiError`
 * - `Rejected`: one of our own guards turned the call away
 * - `InProgress`: the same thing is being done already
 * - `Unknown`: it is unknown whether it was done
 * - `Pending`: it was accepted and is not done yet
 * - `Other`: everything else
 *
 * @since 0.1.0
 * @category models
 */
export type Kind =
  | ApiError.ApiError["_tag"]
  | "Rejected"
  | "InProgress"
  | "Unknown"
  | "Pending"
  | "Other"

/**
 * The sentences of one locale. `again` and `againIn` are about when to try again; `{wait}` stands
 * for the time.
 */
export interface Texts extends Readonly<Record<Kind, string>> {
  readonly again: string
  readonly againIn: string
}

const en: Texts = {
  again: "Please try again in a moment.",
  againIn: "Please try again in {wait}.",
  Auth: "We could not reach a partner service. Our team has been told.",
  Policy: "This is not available for your account.",
  Validation: "Some of the details are not valid. Please check them and try again.",
  NotFound: "We could not find what you asked for.",
  Conflict: "This has been submitted already.",
  Locked: "This is closed at the moment.",
  RateLimit: "We are a little busy. Please try again in a moment.",
  Server: "A partner service has a problem. Please try again in a moment.",
  Timeout: "This is taking longer than usual. Please try again in a moment.",
  Network: "We could not reach a partner service. Please try again in a moment.",
  Rejected: "This is not available at the moment. Please try again in a moment.",
  InProgress: "We are working on this already.",
  Unknown: "We are not sure whether this went through. Please check before you try again.",
  Pending: "This is taking longer than usual. We are still working on it.",
  Other: "Something went wrong. Please try again later."
}

const de: Texts = {
  again: "Bitte versuchen Sie es gleich noch einmal.",
  againIn: "Bitte versuchen Sie es in {wait} noch einmal.",
  Auth: "Wir konnten einen Partnerdienst nicht erreichen. Unser Team ist informiert.",
  Policy: "Das ist für Ihr Konto nicht verfügbar.",
  Validation:
    "Einige Angaben sind nicht gültig. Bitte prüfen Sie sie und versuchen Sie es noch einmal.",
  NotFound: "Wir konnten das Gesuchte nicht finden.",
  Conflict: "Das wurde bereits übermittelt.",
  Locked: "Das ist zurzeit geschlossen.",
  RateLimit: "Wir sind gerade etwas ausgelastet. Bitte versuchen Sie es gleich noch einmal.",
  Server: "Ein Partnerdienst hat ein Problem. Bitte versuchen Sie es gleich noch einmal.",
  Timeout: "Das dauert länger als üblich. Bitte versuchen Sie es gleich noch einmal.",
  Network:
    "Wir konnten einen Partnerdienst nicht erreichen. Bitte versuchen Sie es gleich noch einmal.",
  Rejected: "Das ist zurzeit nicht verfügbar. Bitte versuchen Sie es gleich noch einmal.",
  InProgress: "Wir arbeiten bereits daran.",
  Unknown: "Wir wissen nicht, ob das angekommen ist. " +
    "Bitte prüfen Sie es, bevor Sie es noch einmal versuchen.",
  Pending: "Das dauert länger als üblich. Wir arbeiten noch daran.",
  Other: "Etwas ist schiefgegangen. Bitte versuchen Sie es später noch einmal."
}

const fr: Texts = {
  again: "Veuillez réessayer dans un instant.",
  againIn: "Veuillez réessayer dans {wait}.",
  Auth: "Nous n'avons pas pu joindre un service partenaire. Notre équipe a été prévenue.",
  Policy: "Ceci n'est pas disponible pour votre compte.",
  Validation: "Certaines informations ne sont pas valides. Veuillez les vérifier et réessayer.",
  NotFound: "Nous n'avons pas trouvé ce que vous avez demandé.",
  Conflict: "Ceci a déjà été envoyé.",
  Locked: "Ceci est fermé pour le moment.",
  RateLimit: "Nous sommes un peu occupés. Veuillez réessayer dans un instant.",
  Server: "Un service partenaire a un problème. Veuillez réessayer dans un instant.",
  Timeout: "Cela prend plus de temps que d'habitude. Veuillez réessayer dans un instant.",
  Network: "Nous n'avons pas pu joindre un service partenaire. Veuillez réessayer dans un instant.",
  Rejected: "Ceci n'est pas disponible pour le moment. Veuillez réessayer dans un instant.",
  InProgress: "Nous nous en occupons déjà.",
  Unknown: "Nous ne savons pas si cela a abouti. Veuillez vérifier avant de réessayer.",
  Pending: "Cela prend plus de temps que d'habitude. Nous nous en occupons toujours.",
  Other: "Un problème est survenu. Veuillez réessayer plus tard."
}

const es: Texts = {
  again: "Inténtelo de nuevo en un momento.",
  againIn: "Inténtelo de nuevo en {wait}.",
  Auth: "No hemos podido conectar con un servicio asociado. Nuestro equipo está informado.",
  Policy: "Esto no está disponible para su cuenta.",
  Validation: "Algunos datos no son válidos. Compruébelos e inténtelo de nuevo.",
  NotFound: "No hemos encontrado lo que buscaba.",
  Conflict: "Esto ya se ha enviado.",
  Locked: "Esto está cerrado en este momento.",
  RateLimit: "Estamos algo ocupados. Inténtelo de nuevo en un momento.",
  Server: "Un servicio asociado tiene un problema. Inténtelo de nuevo en un momento.",
  Timeout: "Esto tarda más de lo habitual. Inténtelo de nuevo en un momento.",
  Network: "No hemos podido conectar con un servicio asociado. Inténtelo de nuevo en un momento.",
  Rejected: "Esto no está disponible en este momento. Inténtelo de nuevo en un momento.",
  InProgress: "Ya estamos trabajando en ello.",
  Unknown: "No sabemos si esto se ha completado. Compruébelo antes de intentarlo de nuevo.",
  Pending: "Esto tarda más de lo habitual. Seguimos trabajando en ello.",
  Other: "Algo ha salido mal. Inténtelo de nuevo más tarde."
}

export const texts: Readonly<Record<string, Texts>> = { en, de, fr, es }
