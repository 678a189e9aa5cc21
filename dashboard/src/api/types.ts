// The bodies of the API under short names.

import type { components, operations } from "./schema";

type Schemas = components["schemas"];

export type Act = Schemas["Act"];
export type Access = Schemas["Access"];
export type DueTime = Schemas["DueTime"];
export type DeadGroup = Schemas["DeadGroup"];
export type DeadGroupAct = Schemas["DeadGroupAct"];
export type DeadGroupHistory = Schemas["DeadGroupHistory"];
export type Evidence = Schemas["Evidence"];
export type Figures = Schemas["Figures"];
export type Flag = Schemas["Flag"];
export type Job = Schemas["Job"];
export type JobState = Schemas["JobState"];
export type JobSummary = Schemas["JobSummary"];
export type Limit = Schemas["Limit"];
export type Me = Schemas["Me"];
export type MadeLink = Schemas["MadeLink"];
export type NewOperation = Schemas["NewOperation"];
export type Operation = Schemas["Operation"];
export type OperationAct = Schemas["OperationAct"];
export type OperationFilter = Schemas["OperationFilter"];
export type OperationState = Schemas["OperationState"];
export type OutcomeReport = Schemas["OutcomeReport"];
export type OutcomeStatus = Schemas["OutcomeStatus"];
export type Overview = Schemas["Overview"];
export type Priority = Schemas["Priority"];
export type Problem = Schemas["Problem"];
export type Progress = Schemas["Progress"];
export type QuarantinedMessage = Schemas["QuarantinedMessage"];
export type Queue = Schemas["Queue"];
export type Right = Schemas["Right"];
export type Role = Schemas["Role"];
export type RouteOverview = Schemas["RouteOverview"];
export type Schedule = Schemas["Schedule"];
export type Snapshot = Schemas["Snapshot"];
export type Step = Schemas["Step"];
export type Story = Schemas["Story"];
export type StoryEntry = Schemas["StoryEntry"];
export type SummaryRow = Schemas["SummaryRow"];
export type TenantRow = Schemas["TenantRow"];
export type TimelineEntry = Schemas["TimelineEntry"];
export type Token = Schemas["Token"];
export type Waiting = Schemas["Waiting"];
export type Why = Schemas["Why"];
export type Query<O extends keyof operations> = NonNullable<operations[O]["parameters"]["query"]>;
