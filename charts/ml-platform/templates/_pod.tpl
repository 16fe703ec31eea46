{{/* What every pod has, and meets the `restricted` Pod Security Standard with. (list $ componentValues) */}}
{{- define "mlplat.pod" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
serviceAccountName: {{ include "mlplat.serviceAccountName" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with $root.Values.security.runAsUser }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  {{- end }}
  {{- with $root.Values.security.fsGroup }}
  fsGroup: {{ int . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with $component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every container has: (list $), or (list $ imageOfItsOwn). */}}
{{- define "mlplat.container" -}}
{{- $root := index . 0 -}}
image: {{ rest . | first | default (include "mlplat.image" $root) | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* The claim goes to one node at a time, if it is ReadWriteOnce: then all pods that mount it must be on that node. */}}
{{- define "mlplat.oneNode" -}}
{{- if and (include "mlplat.hasClaim" .) (eq .Values.store.pvc.accessMode "ReadWriteOnce") }}true{{ end -}}
{{- end -}}

{{/* The label that pods with the claim find each other by. */}}
{{- define "mlplat.claimLabel" -}}
{{- if include "mlplat.hasClaim" . -}}
mlplat.dev/claim: {{ include "mlplat.claimName" . | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}
{{- end -}}

{{/* Affinity: the component's own, with what a ReadWriteOnce claim needs. (list $ ownAffinity) */}}
{{- define "mlplat.affinity" -}}
{{- $root := index . 0 -}}
{{- $affinity := deepCopy (index . 1) -}}
{{- if include "mlplat.oneNode" $root -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "mlplat.claimLabel" $root | fromYaml)) -}}
{{- $own := dig "podAffinity" "requiredDuringSchedulingIgnoredDuringExecution" (list) $affinity -}}
{{- $affinity = mergeOverwrite $affinity (dict "podAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (append $own $term))) -}}
{{- end -}}
{{- with $affinity -}}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Mounts of a container: /tmp, the claim, and the component's own. (list $ componentValues readOnlyClaim) */}}
{{- define "mlplat.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "mlplat.hasClaim" (index . 0) }}
- {name: models, mountPath: /models{{ if index . 2 }}, readOnly: true{{ end }}}
{{- end }}
{{- with (index . 1).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The volumes of these mounts. (list $ componentValues sizeOfTmp) */}}
{{- define "mlplat.volumes" -}}
- name: tmp
  emptyDir: {{ with index . 2 }}{sizeLimit: {{ . | quote }}}{{ else }}{}{{ end }}
{{- if include "mlplat.hasClaim" (index . 0) }}
- name: models
  persistentVolumeClaim: {claimName: {{ include "mlplat.claimName" (index . 0) | quote }}}
{{- end }}
{{- with (index . 1).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Exit codes that another try cannot change: 2 wrong options, 4 a conflict. (The schemas before Kubernetes 1.29 ask for
     the empty list, and those before 1.35 for the status.) */}}
{{- define "mlplat.podFailurePolicy" -}}
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes: {operator: In, values: [2, 4]}
      onPodConditions: []
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
{{- end -}}
