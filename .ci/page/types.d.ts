// The answers of the API as the page's code names them. api.d.ts is made from the service's own
// OpenAPI document whenever the page is checked, so a name that the API does not have is an error.
import type { components } from "./api";

declare global {
  type Schemas = components["schemas"];
  type CanvasAnswer = Schemas["CanvasAnswer"];
  type CropAnswer = Schemas["CropAnswer"];
  type FamilyAnswer = Schemas["FamilyAnswer"];
  type ImageAnswer = Schemas["ImageAnswer"];
  type LatencyAnswer = Schemas["LatencyAnswer"];
  type LutAnswer = Schemas["LutAnswer"];
  type LutOptionAnswer = Schemas["LutOptionAnswer"];
  type ModelsAnswer = Schemas["ModelsAnswer"];
  type PlanAnswer = Schemas["PlanAnswer"];
  type ReadyAnswer = Schemas["ReadyAnswer"];
  type TilingAnswer = Schemas["TilingAnswer"];
}
